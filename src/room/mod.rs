//! Room on the host: how much there is, and what of ours can go.
//!
//! Takes the data directory, the engine and the names of what is in use; gives free space, reasons to take no
//! run, and leftovers removed. Never: anything removed that does not carry this launcher's label or stand in
//! its own records, and nothing that a lease in the journal uses.

mod space;
mod sweep;

pub use space::{Need, Place, Shortage, Space};
pub use sweep::{Keep, Means, Pressure, Swept, container_of, sweep};
