//! What importers make of real and of broken inventories. Must not reach any network.

mod conversations;
mod fixtures;
mod real_data;
