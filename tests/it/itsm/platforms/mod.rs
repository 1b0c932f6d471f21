//! Platforms as their documentation and their users describe them, with their unpleasant habits.

pub(crate) mod servicenow;
pub(crate) mod simple;
