//! How halts are watched.

use holdfast_halt::manager::HaltConfig;
use holdfast_halt::stall::StallConfig;
use holdfast_types::parameters::HaltParameters;
use holdfast_types::{ChainId, Parameters, SoftwareVersion};

/// How halts are watched.
#[derive(Clone, Debug)]
pub struct HaltSettings {
    pub manager: HaltConfig,
    pub stall: StallConfig,
    pub thresholds: HaltParameters,
    /// Of this software: a resume message may ask for a newer one.
    pub version: SoftwareVersion,
}

impl HaltSettings {
    #[must_use]
    pub fn new(chain: ChainId, parameters: &Parameters) -> Self {
        Self {
            manager: HaltConfig::from_parameters(chain, parameters),
            stall: StallConfig::from_parameters(parameters),
            thresholds: parameters.halt.clone(),
            version: env!("CARGO_PKG_VERSION").parse().unwrap_or_default(),
        }
    }
}
