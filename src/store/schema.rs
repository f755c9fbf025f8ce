//! The tables. Their names and columns are a contract with outside programs.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::StoreError;
use super::open;

/// Every step from an empty file to the present schema. A step that was once released is never changed again.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema/0001_first_light.sql")),
    M::up(include_str!("schema/0002_halts_and_books.sql")),
    M::up(include_str!("schema/0003_every_try_of_the_model.sql")),
    M::up(include_str!("schema/0004_spans_of_time.sql")),
    M::up(include_str!("schema/0005_how_conversations_ended.sql")),
    M::up(include_str!("schema/0006_rate_limits.sql")),
    M::up(include_str!("schema/0007_halts_by_hand.sql")),
    M::up(include_str!("schema/0008_amounts_of_differences.sql")),
];

/// Brings the tables up to date, each step in a transaction of its own.
pub(super) fn bring_up_to_date(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    Migrations::from_slice(STEPS).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } if open::is_damage(&err) => {
            open::damaged(path, err.to_string())
        }
        other => StoreError::Schema { path: path.to_owned(), detail: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_of_an_older_journal_is_of_the_hand_that_began_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        Migrations::from_slice(&STEPS[..6]).to_latest(&mut connection).unwrap();
        let halts = r#"INSERT INTO halts (venue, scope, level, origin, reason, since) VALUES
            ('v', '{"scope":"desk"}', 'frozen', '{"by":"desk"}', '', 1),
            ('v', '{"scope":"coin","name":"BTCUSDT"}', 'frozen', '{"by":"guard","detail":"drawdown"}', 'why', 2),
            ('w', '{"scope":"desk"}', 'frozen', '{"by":"operator"}', '', 3)"#;
        connection.execute_batch(halts).unwrap();
        Migrations::from_slice(STEPS).to_latest(&mut connection).unwrap();
        let mut statement = connection.prepare("SELECT hand, since FROM halts ORDER BY since").unwrap();
        let hands = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let hands: Vec<(String, i64)> = hands.collect::<Result<_, _>>().unwrap();
        assert_eq!(hands, [("desk".into(), 1), ("guard".into(), 2), ("operator".into(), 3)]);
    }

    #[test]
    fn every_step_can_be_taken() {
        Migrations::from_slice(STEPS).validate().unwrap();
    }
}
