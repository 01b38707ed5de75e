# shellcheck shell=bash disable=SC2034  # variables that the functions leave are read by the caller
# A whole Gantry on this machine, from nothing: registry, image, keys, server, pool, launcher.
#
# Sourced after scripts/lib.sh by scripts/demo, scripts/bench, scripts/crash-matrix and scripts/soak. Takes $BIN (directory of the programs), gives
# a running system below $WORK and the CLI logged in to it. Never: a secret in an argument, a file that others
# may read beside the demo repository.

# system_dirs: $WORK with keys, data and repositories. Runs are another user, who has to pass through to its
# workspace and to the repositories; everything else is closed.
system_dirs() {
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/gantry.XXXXXX")
    at_exit rm -rf "$WORK"
    mkdir -m 0700 "$WORK/keys" "$WORK/server" "$WORK/logs" "$WORK/cli"
    mkdir -m 0755 "$WORK/repos"
    chmod 0711 "$WORK"
    export GANTRY_CONFIG_DIR=$WORK/cli
    unset SPACELIFT_API_KEY_ENDPOINT SPACELIFT_API_KEY_ID SPACELIFT_API_KEY_SECRET GANTRY_PROFILE GANTRY_OUTPUT
}

# system_image: the runner image in a loopback registry; leaves $IMAGE and $IMAGE_DIGEST.
system_image() {
    registry_up "$WORK"
    IMAGE=$REGISTRY/gantry-runner:demo
    "$GANTRY_ROOT/runner-image/build-local" --tag "$IMAGE" >/dev/null
    docker push --quiet "$IMAGE" >/dev/null
    IMAGE_DIGEST=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$IMAGE" |
        sed -n "s|^$REGISTRY/gantry-runner@||p")
    [[ $IMAGE_DIGEST == sha256:* ]] || die "the registry gave no digest for $IMAGE"
    # The run has to fetch it by its digest, so nothing of this name stays in the daemon.
    docker image rm "$IMAGE" >/dev/null
    docker image rm "$REGISTRY/gantry-runner@$IMAGE_DIGEST" >/dev/null 2>&1 || true
    at_exit forget_image
    say "image: $REGISTRY/gantry-runner@$IMAGE_DIGEST"
}

forget_image() { docker image rm "$REGISTRY/gantry-runner@$IMAGE_DIGEST" >/dev/null 2>&1 || true; }

# system_server: master key, API key, release key, signed worker; the server on a loopback port.
system_server() {
    local log=$WORK/logs/server.log key
    umask 077
    "$BIN/gantry-server" master-key generate >"$WORK/keys/master.key"
    key=$("$BIN/gantry-server" api-key create --data-dir "$WORK/server" --name demo --role admin --output json)
    "$BIN/gantry" release keygen --out "$WORK/keys/release.pem" --output json >"$WORK/keys/release.json"
    "$BIN/gantry" release sign --key "$WORK/keys/release.pem" --binary "$BIN/gantry-worker" --out "$WORK/worker.manifest"
    "$BIN/gantry-server" worker add --data-dir "$WORK/server" \
        --manifest "$WORK/worker.manifest" --binary "$BIN/gantry-worker" >/dev/null
    SERVER_URL=http://127.0.0.1:$(free_port)
    GANTRY_SOURCE_FILE_PREFIXES=$WORK/repos start gantry-server "$log" "$BIN/gantry-server" serve \
        --data-dir "$WORK/server" --master-key-file "$WORK/keys/master.key" \
        --listen "${SERVER_URL#http://}" --public-url "$SERVER_URL"
    SERVER_PID=$STARTED_PID
    wait_started 30 gantry-server "$SERVER_PID" "$log" curl -fsS --noproxy '*' "$SERVER_URL/readyz"
    jq -r .secret <<<"$key" | "$BIN/gantry" login --endpoint "$SERVER_URL" \
        --key-id "$(jq -r .id <<<"$key")" --key-secret-file - demo
    umask 022
}

# system_pool: a key and a signing request as operators make them; leaves $POOL.
system_pool() {
    openssl req -new -newkey rsa:4096 -nodes -batch -subj /CN=gantry-demo \
        -keyout "$WORK/keys/pool.pem" -out "$WORK/keys/pool.csr" 2>/dev/null
    POOL=$("$BIN/gantry" pool create --name demo --csr "$WORK/keys/pool.csr" \
        --token-file "$WORK/keys/pool.token" --output json | jq -r .id)
}

# system_launcher [NAME]: a launcher of the pool; its credentials go through its environment.
system_launcher() {
    local name=${1:-launcher} program=${2:-$BIN/gantry-launcher} before
    local log=$WORK/logs/$name.log
    install -d -m 0711 "$WORK/$name"
    before=$(launchers)
    SPACELIFT_TOKEN=$(<"$WORK/keys/pool.token") \
        SPACELIFT_POOL_PRIVATE_KEY=$(base64 -w0 <"$WORK/keys/pool.pem") \
        SPACELIFT_DEFAULT_RUNNER_IMAGE=$IMAGE \
        GANTRY_DATA_DIR=$WORK/$name \
        GANTRY_WORKER_TRUST_KEYS=$(jq -r .publicKey "$WORK/keys/release.json") \
        GANTRY_ALLOWED_REGISTRIES=$REGISTRY \
        GANTRY_SOURCE_FILE_PREFIXES=$WORK/repos \
        start gantry-launcher "$log" "$program"
    LAUNCHER_PID=$STARTED_PID
    wait_started 60 gantry-launcher "$LAUNCHER_PID" "$log" launchers_above "$before"
}

# system_release DIR: a signed release of the launcher alone, as scripts/install takes it; leaves $RELEASE_VERSION, $RELEASE_KEY
# and $INSTALL_SHA256. Its key is made for it.
system_release() {
    local dir=$1 tree=$1.tree
    RELEASE_VERSION=$("$BIN/gantry-launcher" --version | cut -d ' ' -f 2)
    mkdir -p "$dir" "$tree/bin" "$tree/units"
    strip --strip-debug -o "$tree/bin/gantry-launcher" "$BIN/gantry-launcher"
    cp "$GANTRY_ROOT/deploy/systemd/gantry-launcher.service" "$tree/units/"
    tar -C "$tree" -cf - . | gzip -1 >"$dir/gantry-launcher-$RELEASE_VERSION-$(uname -m).tar.gz"
    rm -rf "$tree"
    cp "$GANTRY_ROOT/scripts/install" "$dir/install"
    "$BIN/gantry" release keygen --out "$dir.pem" >/dev/null
    RELEASE_KEY=$("$BIN/gantry" release public --key "$dir.pem")
    "$BIN/gantry" release seal --key "$dir.pem" --commit "$(git -C "$GANTRY_ROOT" rev-parse HEAD)" \
        --release "$RELEASE_VERSION" "$dir" >/dev/null
    INSTALL_SHA256=$(sha256sum <"$dir/install" | cut -d ' ' -f 1)
}

launchers() { "$BIN/gantry" pool list --output json | jq -s '[.[].workers[]] | length'; }
launchers_above() { (($(launchers) > $1)); }

# system_needs: the programs that all of this calls.
system_needs() {
    need git:git openssl:openssl curl:curl jq:jq ca-certificates:/etc/ssl/certs/ca-certificates.crt
}

# What people install; selects it for cargo.
PROGRAMS=(-p gantry-launcher -p gantry-server -p gantry-worker -p gantry -p gantry-vcs-agent --bins)

# system_build PROFILE: builds the programs; leaves $BIN.
system_build() {
    local profile=$1 dir=$1
    [[ $profile != dev ]] || dir=debug
    need_c_toolchain
    cargo_settings
    BIN=$BIN_DIR/$dir
    (cd "$GANTRY_ROOT" && cargo build --locked --profile "$profile" --target "$RUST_TARGET" "${PROGRAMS[@]}")
}

# faults_build: the programs and the tests that make them meet faults; leaves the tests' program in $FAULTS.
faults_build() {
    need_c_toolchain
    cargo_settings
    step "Building"
    cd "$GANTRY_ROOT" || return
    cargo build --locked --workspace --bins --target "$RUST_TARGET"
    FAULTS=$(cargo test --locked -p gantry-launcher --test faults --no-run --target "$RUST_TARGET" \
        --message-format json | jq -r 'select(.target.name? == "faults" and .executable != null).executable')
    [[ -x $FAULTS ]] || die "the tests of faults were not built"
    need git:git openssl:openssl jq:jq busybox-static:/bin/busybox docker-registry:docker-registry \
        docker.io:dockerd docker.io:docker iproute2:/sbin/ip
    export GANTRY_BIN_DIR=$BIN_DIR/debug
}
