//! Registries, logins and the default image.

use std::collections::BTreeMap;

use super::Report;
use crate::config::Config;
use crate::engine::{Docker, EngineInfo, Platform};
use crate::image::Images;
use crate::registry::Logins;
use crate::report::Chain;

pub(super) async fn examine(
    config: &Config,
    engine: &Docker,
    about: &EngineInfo,
    report: &mut Report,
) {
    let logins = match Logins::new(config.images.logins.clone()) {
        Ok(logins) => logins,
        Err(error) => {
            let advice = "correct the file in SPACELIFT_DOCKER_CONFIG_DIR";
            return report.failed("registry logins", Chain(&error), advice);
        }
    };
    for (entry, source) in config.images.registries.login_sources(&logins) {
        match source {
            Ok(source) => report.ok("registry", format!("{entry} is asked {source}")),
            Err(error) => report.failed(
                "registry",
                Chain(&error),
                "correct the docker configuration",
            ),
        }
    }
    let Some(image) = &config.images.default else {
        return report.skipped(
            "default image",
            "SPACELIFT_DEFAULT_RUNNER_IMAGE is not set; stacks that name no image are refused",
        );
    };
    let images = Images::new(
        engine.clone(),
        config
            .containers
            .machine
            .map_or_else(|| about.platform.clone(), Platform::from),
        BTreeMap::new(),
        logins,
        config.images.pull,
    );
    let resolved = match config.images.registries.admit(image) {
        Ok(admitted) => images
            .resolve(admitted)
            .await
            .map_err(|error| Chain(&error).to_string()),
        Err(refusal) => Err(refusal.to_string()),
    };
    match resolved {
        Ok(resolved) => report.ok("default image", format!("{image} is {}", resolved.digest())),
        Err(why) => report.failed(
            "default image",
            why,
            "`gantry-launcher image check` explains each step",
        ),
    }
}
