//! Pulls as the registry sees them: when, how often, and for which platform.
//!
//! Takes registries with an access log. Never: an image that was there before the test.

use std::time::Duration;

use gantry_launcher::engine::{Docker, EngineInfo, Platform};
use gantry_launcher::image::{Allowlist, ImageError, Images, PullPolicy, PulledImage};
use gantry_launcher::registry::LoginSettings;
use serde_json::{Value, json};

use super::front::client;
use super::world::{LocalImage, Registry, docker, engine, images_with};

const LIMIT: Duration = Duration::from_secs(120);
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

struct World {
    registry: Registry,
    engine: Docker,
    info: EngineInfo,
}

impl World {
    async fn new() -> Self {
        let (engine, info) = engine().await;
        let registry = Registry::open();
        Self {
            registry,
            engine,
            info,
        }
    }

    fn images(&self, policy: PullPolicy) -> Images {
        images_with(&self.engine, &self.info, LoginSettings::default(), policy)
    }

    async fn get(
        &self,
        images: &Images,
        reference: &str,
    ) -> Result<(PulledImage, Vec<String>), ImageError> {
        let allowlist = Allowlist::new([self.registry.host.as_str()]).expect("valid");
        let admitted = allowlist.admit(reference).expect("listed");
        let resolved = images.resolve(admitted).await?;
        let mut lines = Vec::new();
        let mut say = |line| lines.push(line);
        let pulled = images.pull(resolved, LIMIT, &mut say).await?;
        Ok((pulled, lines))
    }

    /// How often each layer of `repository:tag` was asked for.
    async fn layers(&self, repository: &str, tag: &str) -> Vec<usize> {
        let url = format!(
            "http://{}/v2/{repository}/manifests/{tag}",
            self.registry.host
        );
        let asked = client().get(url).header("accept", MANIFEST).send().await;
        let manifest: Value = asked.expect("an answer").json().await.expect("a manifest");
        let layers = manifest["layers"].as_array().expect("layers");
        let asked = |layer: &Value| {
            let digest = layer["digest"].as_str().expect("a digest");
            let line = format!("\"GET /v2/{repository}/blobs/{digest}");
            self.registry.answered(&line).len()
        };
        layers.iter().map(asked).collect()
    }

    /// Pushes an image that the engine does not have any more.
    fn push_new(&self, repository: &str) -> (String, String) {
        self.registry.push(&LocalImage::new(&[]), repository)
    }

    /// Puts an index of images that are in `repository` already, each by its tag.
    async fn put_index(&self, repository: &str, tag: &str, images: &[(&str, &str)]) -> String {
        let base = format!("http://{}/v2/{repository}/manifests", self.registry.host);
        let client = client();
        let mut manifests: Vec<Value> = Vec::new();
        for (image, platform) in images {
            let asked = client
                .get(format!("{base}/{image}"))
                .header("accept", MANIFEST);
            let answer = asked.send().await.expect("an answer");
            let digest = answer.headers()["docker-content-digest"]
                .to_str()
                .expect("text");
            let digest = digest.to_owned();
            let size = answer.bytes().await.expect("a manifest").len();
            let (os, architecture) = platform.split_once('/').expect("os/architecture");
            manifests.push(
                json!({ "mediaType": MANIFEST, "size": size, "digest": digest,
                "platform": { "os": os, "architecture": architecture } }),
            );
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let put = client
            .put(format!("{base}/{tag}"))
            .header("content-type", INDEX);
        let answer = put.body(index.to_string()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        answer.headers()["docker-content-digest"]
            .to_str()
            .expect("text")
            .to_owned()
    }
}

/// A platform that is not this host's.
fn other(own: &Platform) -> &'static str {
    match own.architecture.as_str() {
        "arm64" => "linux/amd64",
        _ => "linux/arm64",
    }
}

#[tokio::test]
async fn pulls_at_one_time_fetch_each_layer_once_and_say_how_long_it_took() {
    let world = World::new().await;
    let (reference, _) = world.push_new("once:1");
    let images = world.images(PullPolicy::IfNotPresent);
    let get = || world.get(&images, &reference);
    let (a, b, c, d) = tokio::join!(get(), get(), get(), get());
    let lines = [a, b, c, d].map(|result| result.expect("pulled").1);
    let told: Vec<_> = lines.iter().filter(|lines| !lines.is_empty()).collect();
    assert_eq!(told.len(), 1, "one pulls, the others wait: {lines:?}");
    let last = told[0].last().expect("lines");
    assert!(
        last.contains(" in ") && last.ends_with("MB on disk"),
        "{last}"
    );
    assert_eq!(world.layers("once", "1").await, [1]);
}

#[tokio::test]
async fn always_asks_the_engine_each_time_and_once_for_those_who_wait() {
    let world = World::new().await;
    let (reference, digest) = world.push_new("always:1");
    let images = world.images(PullPolicy::Always);
    for _ in 0..2 {
        let (pulled, lines) = world.get(&images, &reference).await.expect("pulled");
        assert_eq!(pulled.digest().to_string(), digest);
        assert!(lines[0].contains("pulling image"), "{lines:?}");
    }
    let manifests = || {
        world
            .registry
            .answered(&format!("/manifests/{digest}"))
            .len()
    };
    let get = || world.get(&images, &reference);
    let before = manifests();
    let (a, b, c) = tokio::join!(get(), get(), get());
    for result in [a, b, c] {
        result.expect("pulled");
    }
    assert!(manifests() > before, "the registry was asked again");
    assert_eq!(
        world.layers("always", "1").await,
        [1],
        "what is present stays"
    );
}

#[tokio::test]
async fn never_takes_only_what_is_present() {
    let world = World::new().await;
    let (reference, digest) = world.push_new("never:1");
    let images = world.images(PullPolicy::Never);
    let error = world
        .get(&images, &reference)
        .await
        .expect_err("not present");
    assert!(matches!(error, ImageError::NotPresent { .. }), "{error:?}");
    let said = error.to_string();
    for part in [reference.as_str(), &digest, "GANTRY_PULL_POLICY"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(world.layers("never", "1").await, [0], "nothing was fetched");
    docker(&[
        "pull",
        "--quiet",
        &format!("{}/never@{digest}", world.registry.host),
    ]);
    let (pulled, lines) = world.get(&images, &reference).await.expect("present");
    assert_eq!((pulled.digest().to_string(), lines), (digest, Vec::new()));
}

#[tokio::test]
async fn an_index_gives_the_image_of_this_platform() {
    let world = World::new().await;
    let (own, foreign) = (world.info.platform.to_string(), other(&world.info.platform));
    let image = LocalImage::new(&["--change", "ENV COLOUR=own"]);
    world.registry.push(&image, "multi:own");
    world
        .registry
        .push(&LocalImage::foreign(foreign), "multi:foreign");
    let both = [("foreign", foreign), ("own", own.as_str())];
    let digest = world.put_index("multi", "both", &both).await;
    let images = world.images(PullPolicy::IfNotPresent);
    let host = &world.registry.host;
    for reference in [
        format!("{host}/multi:both"),
        format!("{host}/multi@{digest}"),
    ] {
        let (pulled, _) = world.get(&images, &reference).await.expect("ours is in it");
        assert_eq!(
            pulled.digest().to_string(),
            digest,
            "the index is what is pinned"
        );
        assert_eq!(pulled.platform(), &world.info.platform);
        assert_eq!(pulled.env(), ["COLOUR=own"]);
    }
    world.put_index("multi", "none", &both[..1]).await;
    let reference = format!("{host}/multi:none");
    let error = world
        .get(&images, &reference)
        .await
        .expect_err("ours is not in it");
    let expected = format!("image `{reference}` is made for {foreign}, and this host runs {own}");
    assert_eq!(error.to_string(), expected);
}
