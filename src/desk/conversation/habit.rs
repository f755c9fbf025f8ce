//! Whether caching the conversation between turns pays.

use crate::store::ToolHabit;

/// Cycles looked at to tell whether the model is in the habit of using its tool.
pub const HABIT_CYCLES: u32 = 20;
/// Share of them, in percent, that must have used it: writing to the cache costs a quarter more than plain input, which
/// is lost when no second turn reads it, and a read saves nine tenths. With the usual brief it pays from about three
/// cycles in ten.
const HABIT_PERCENT: u64 = 30;

/// Whether the model used its tool in enough of the last cycles. Without any, it is taken to.
pub fn caching_pays(habit: ToolHabit) -> bool {
    habit.cycles == 0 || u64::from(habit.with_tools) * 100 >= u64::from(habit.cycles) * HABIT_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pays(with_tools: u32, cycles: u32) -> bool {
        caching_pays(ToolHabit { cycles, with_tools })
    }

    #[test]
    fn three_cycles_in_ten_with_a_tool_are_enough_and_fewer_are_not() {
        assert!(pays(6, 20) && pays(20, 20) && pays(1, 3) && pays(3, 10));
        assert!(!pays(5, 20) && !pays(0, 1) && !pays(1, 4) && !pays(29, 100));
    }

    #[test]
    fn a_desk_without_a_past_takes_the_tool_to_be_used() {
        assert!(pays(0, 0));
    }

    #[test]
    fn a_very_long_past_is_counted_right() {
        assert!(pays(u32::MAX, u32::MAX) && !pays(u32::MAX / 4, u32::MAX));
    }
}
