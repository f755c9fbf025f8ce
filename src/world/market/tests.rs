use super::*;

#[test]
fn a_market_lists_ten_coins() {
    assert_eq!(Market::synthetic(1, 1_790_000_000_000).listings().len(), 10);
}
