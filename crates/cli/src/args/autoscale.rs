//! `gantry autoscale-hint` as types.
//!
//! Takes words, gives values. Never: work.

use std::num::NonZeroU32;

use clap::Args;

#[derive(Debug, Args)]
pub struct AutoscaleArgs {
    /// The pool's id
    #[arg(long, value_name = "ID")]
    pub pool: String,
    /// Fewest launchers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min: u32,
    /// Most launchers; any number otherwise
    #[arg(long, value_name = "N")]
    pub max: Option<u32>,
    /// How many runs each launcher takes at a time (its GANTRY_CAPACITY)
    #[arg(long, value_name = "N", default_value = "1")]
    pub per_launcher: NonZeroU32,
}
