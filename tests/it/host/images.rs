//! Images from a real registry: by digest, with the right login, once at a time.
//!
//! Takes loopback registries. Never: an image that was there before the test.

use std::time::Duration;

use gantry_launcher::engine::{Docker, EngineInfo, ErrorKind};
use gantry_launcher::image::{Allowlist, ImageError, Images, PullPolicy, PulledImage, Reference};
use gantry_launcher::registry::LoginSettings;

use super::world::{LocalImage, Registry, docker, engine, images, images_with};

const LIMIT: Duration = Duration::from_secs(120);

struct World {
    registry: Registry,
    allowlist: Allowlist,
    images: Images,
}

impl World {
    async fn new(registry: Registry) -> (Self, Docker, EngineInfo) {
        Self::with(registry, PullPolicy::default()).await
    }

    async fn with(registry: Registry, policy: PullPolicy) -> (Self, Docker, EngineInfo) {
        let (engine, info) = engine().await;
        let settings = LoginSettings {
            docker_config: Some(registry.docker_config(false).to_owned()),
            ..LoginSettings::default()
        };
        let world = Self {
            allowlist: Allowlist::new([registry.host.as_str()]).expect("valid"),
            images: images_with(&engine, &info, settings, policy),
            registry,
        };
        (world, engine, info)
    }

    async fn get(
        &self,
        reference: &str,
        login: bool,
    ) -> Result<(PulledImage, Vec<String>), ImageError> {
        let admitted = self.allowlist.admit(reference).expect("listed");
        // The same directory each time: a login that comes or goes counts at once.
        self.registry.docker_config(login);
        let resolved = self.images.resolve(admitted).await?;
        let mut lines = Vec::new();
        let mut say = |line| lines.push(line);
        let pulled = self.images.pull(resolved, LIMIT, &mut say).await?;
        Ok((pulled, lines))
    }
}

fn kind(error: &ImageError) -> &ErrorKind {
    match error {
        ImageError::Engine { source, .. } => source.kind(),
        other => panic!("expected a failure of the engine: {other:?}"),
    }
}

#[tokio::test]
async fn a_tag_becomes_a_digest_that_stays() {
    let (world, _engine, info) = World::new(Registry::open()).await;
    let first = LocalImage::new(&["--change", "ENV COLOUR=red", "--change", "USER 0"]);
    let (reference, digest) = world.registry.push(&first, "team/runner:1");
    let (pulled, lines) = world.get(&reference, false).await.expect("pulled");
    assert_eq!(pulled.digest().to_string(), digest);
    assert_eq!(pulled.platform(), &info.platform);
    assert_eq!(pulled.env(), ["COLOUR=red"]);
    assert_eq!(pulled.passwd(), Some(&b"root:x:0:0::/:/bin/sh\n"[..]));
    assert_eq!(pulled.group(), None);
    assert!(
        lines.first().is_some_and(|line| line.contains(&digest)),
        "{lines:?}"
    );
    let (_, lines) = world.get(&reference, false).await.expect("again");
    assert_eq!(lines, [""; 0], "it is there already");
    // The tag moves on; the digest still names the first.
    let second = LocalImage::new(&[]);
    let (_, moved) = world.registry.push(&second, "team/runner:1");
    assert_ne!(moved, digest);
    let (pulled, _) = world.get(&reference, false).await.expect("the new one");
    assert_eq!(pulled.digest().to_string(), moved);
    let pinned = format!("{}/team/runner@{digest}", world.registry.host);
    let (pulled, _) = world.get(&pinned, false).await.expect("the old one");
    assert_eq!(pulled.by_digest(), pinned);
}

#[tokio::test]
async fn concurrent_pulls_of_one_image_are_one() {
    let (world, _engine, _) = World::new(Registry::open()).await;
    let image = LocalImage::new(&[]);
    let (reference, _) = world.registry.push(&image, "x:1");
    let (a, b, c) = tokio::join!(
        world.get(&reference, false),
        world.get(&reference, false),
        world.get(&reference, false)
    );
    let lines = [a, b, c].map(|result| result.expect("pulled").1);
    let pulls = lines.iter().filter(|lines| !lines.is_empty()).count();
    assert_eq!(pulls, 1, "{lines:?}");
}

#[tokio::test]
async fn a_login_is_needed_each_time_also_for_a_cached_image() {
    let (world, _engine, _) = World::new(Registry::with_login()).await;
    let image = LocalImage::new(&[]);
    let (reference, digest) = world.registry.push(&image, "secret:1");
    let error = world.get(&reference, false).await.expect_err("no login");
    assert!(
        matches!(kind(&error), ErrorKind::Unauthorized { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("without a login"), "{error}");
    let (pulled, _) = world.get(&reference, true).await.expect("with the login");
    assert_eq!(pulled.digest().to_string(), digest);
    let pinned = format!("{}/secret@{digest}", world.registry.host);
    for reference in [&reference, &pinned] {
        let error = world
            .get(reference, false)
            .await
            .expect_err("cached, but not theirs");
        assert!(
            matches!(kind(&error), ErrorKind::Unauthorized { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_one_clear_error() {
    let (world, _engine, _) = World::new(Registry::open()).await;
    let image = LocalImage::new(&[]);
    let (reference, digest) = world.registry.push(&image, "x:1");
    let host = &world.registry.host;
    let zeros = "0".repeat(64);
    for missing in [
        format!("{host}/x:2"),
        format!("{host}/y:1"),
        format!("{host}/x@sha256:{zeros}"),
    ] {
        let error = world.get(&missing, false).await.expect_err("missing");
        assert!(
            matches!(kind(&error), ErrorKind::NotFound { .. }),
            "{missing}: {error:?}"
        );
        assert!(error.to_string().contains(&missing), "{error}");
    }
    // A tag beside a digest does not matter, as for every other program.
    let both = format!("{host}/x:2@{digest}");
    let (pulled, _) = world.get(&both, false).await.expect("by digest");
    assert_eq!(pulled.digest().to_string(), digest);
    drop(reference);
}

#[tokio::test]
async fn another_platforms_image_is_refused() {
    let (world, _engine, info) = World::new(Registry::open()).await;
    let other = match info.platform.architecture.as_str() {
        "arm64" => "linux/amd64",
        _ => "linux/arm64",
    };
    let image = LocalImage::foreign(other);
    let (reference, _) = world.registry.push(&image, "foreign:1");
    let error = world.get(&reference, false).await.expect_err("not ours");
    assert!(matches!(error, ImageError::BadPlatform { .. }), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains(other) && said.contains(&info.platform.to_string()),
        "{said}"
    );
    let listed = docker(&["images", "--quiet", &reference]);
    assert_eq!(listed, "", "it was not even pulled");
}

#[tokio::test]
async fn an_absent_registry_is_named() {
    let (engine, info) = engine().await;
    let host = "127.0.0.1:1";
    let allowlist = Allowlist::new([host]).expect("valid");
    let admitted = allowlist.admit("127.0.0.1:1/x:1").expect("listed");
    let images = images(&engine, &info);
    let error = images.resolve(admitted).await.expect_err("nobody there");
    assert!(
        matches!(kind(&error), ErrorKind::Refused { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("127.0.0.1:1/x:1"), "{error}");
    assert!(Reference::parse("127.0.0.1:1/x:1").is_ok());
}
