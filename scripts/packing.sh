# shellcheck shell=bash disable=SC2154  # variables that the caller sets are read here
# Archives, packages, images and the list of parts of a release, out of programs that are built.
#
# Sourced by scripts/release. Takes $VERSION, $COMMIT, $SOURCE_DATE_EPOCH, $LEVEL and programs in $STRIPPED/ARCH, gives files in
# $PARTS. Everything is made the same every time: order, owner, time and mode of what is packed come from here, never from this machine.
# Never: a file of the working tree that is not named here.

COMPONENTS=(launcher server vcs-agent cli)
PROGRAMS=(gantry-launcher gantry-server gantry-vcs-agent gantry gantry-worker)

program_of() { if [[ $1 == cli ]]; then echo gantry; else echo "gantry-$1"; fi; }
debian_arch() { if [[ $1 == x86_64 ]]; then echo amd64; else echo arm64; fi; }

# pack_tar DIR: an archive of DIR to standard output.
pack_tar() {
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$1" -cf - .
}
# Neither name nor time of what is compressed.
pack_gzip() { gzip -n "-$LEVEL"; }

# lay COMPONENT ARCH DIR: what of a component an archive for scripts/install holds.
lay() {
    local program
    program=$(program_of "$1")
    install -D -m 755 "$STRIPPED/$2/$program" "$3/bin/$program"
    install -D -m 644 "$GANTRY_ROOT/LICENSE" "$3/share/LICENSE"
    [[ $1 == cli ]] || install -D -m 644 "$GANTRY_ROOT/deploy/systemd/$program.service" "$3/units/$program.service"
    [[ $1 != server ]] || install -D -m 644 "$GANTRY_ROOT/deploy/systemd/gantry.sysusers" "$3/units/gantry.sysusers"
}

pack_archives() {
    local arch=$1 component dir
    for component in "${COMPONENTS[@]}"; do
        dir=$SCRATCH/archive
        rm -rf "$dir"
        lay "$component" "$arch" "$dir"
        pack_tar "$dir" | pack_gzip >"$PARTS/gantry-$component-$VERSION-$arch.tar.gz"
    done
    pack_tar "$DEBUG/$arch" | pack_gzip >"$PARTS/gantry-debug-$VERSION-$arch.tar.gz"
}

# pack_workers: workers of all architectures with their signed manifests, as `gantry-server worker add` takes them.
pack_workers() {
    local arch
    for arch in "${ARCHES[@]}"; do
        install -D -m 755 "$STRIPPED/$arch/gantry-worker" "$SCRATCH/workers/workers/gantry-worker-$arch"
        "$GANTRY" release sign --key "$KEY" --binary "$STRIPPED/$arch/gantry-worker" --release "$VERSION" \
            --out "$SCRATCH/workers/workers/gantry-worker-$arch.manifest"
        chmod 644 "$SCRATCH/workers/workers/gantry-worker-$arch.manifest"
    done
    pack_tar "$SCRATCH/workers" | pack_gzip >"$PARTS/gantry-workers-$VERSION.tar.gz"
}

# --- Debian packages -----------------------------------------------------------------------------------------

# control PACKAGE ARCH DIR DESCRIPTION [FIELD...]
control() {
    local package=$1 arch=$2 dir=$3 description=$4
    shift 4
    mkdir -p "$dir/DEBIAN"
    {
        printf '%s\n' "Package: $package" "Version: ${VERSION/-/\~}" "Architecture: $(debian_arch "$arch")" \
            "Maintainer: The Gantry developers <gantry@localhost>" "Section: admin" "Priority: optional" \
            "Installed-Size: $(du -sk --apparent-size "$dir" | cut -f1)" "$@" "Description: $description"
    } >"$dir/DEBIAN/control"
}

pack_deb() {
    local component=$1 arch=$2 package dir=$SCRATCH/deb script description fields=()
    package=$(program_of "$component")
    rm -rf "$dir"
    install -D -m 755 "$STRIPPED/$arch/$package" "$dir/usr/bin/$package"
    install -D -m 644 "$GANTRY_ROOT/LICENSE" "$dir/usr/share/doc/$package/copyright"
    case $component in
        launcher)
            description="runs Terraform and OpenTofu in containers on this host"
            fields=("Depends: git, ca-certificates" "Recommends: docker.io | docker-ce, iptables, openssh-client, systemd")
            ;;
        server)
            description="control plane of Gantry: pools, stacks, runs, state"
            fields=("Depends: git, ca-certificates" "Recommends: openssh-client, systemd")
            install -D -m 644 "$GANTRY_ROOT/deploy/systemd/gantry.sysusers" "$dir/usr/lib/sysusers.d/$package.conf"
            mkdir -p "$dir/usr/share/gantry"
            cp -r "$SCRATCH/workers/workers" "$dir/usr/share/gantry/workers"
            ;;
        vcs-agent)
            description="lets a Gantry server reach the code host of this network"
            fields=("Recommends: ca-certificates, systemd")
            ;;
        cli)
            description="command line of Gantry"
            fields=("Recommends: git, ca-certificates")
            ;;
    esac
    if [[ $component != cli ]]; then
        install -D -m 644 "$GANTRY_ROOT/deploy/systemd/$package.service" "$dir/usr/lib/systemd/system/$package.service"
        # Where the units look for settings.
        install -D -m 600 "$GANTRY_ROOT/deploy/deb/$package.env" "$dir/etc/gantry/$component.env"
        mkdir -p "$dir/DEBIAN"
        echo "/etc/gantry/$component.env" >"$dir/DEBIAN/conffiles"
        for script in postinst prerm postrm; do
            sed "s/@PACKAGE@/$package/g" "$GANTRY_ROOT/deploy/deb/service.$script" >"$dir/DEBIAN/$script"
            chmod 755 "$dir/DEBIAN/$script"
        done
    fi
    control "$package" "$arch" "$dir" "$description" "${fields[@]}"
    find "$dir" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group "-Z$DEB_COMPRESSION" --build "$dir" "$PARTS/${package}_${VERSION/-/\~}_$(debian_arch "$arch").deb" >/dev/null
}

# --- images --------------------------------------------------------------------------------------------------

# base_layer ARCH: Debian with what launcher and server call (git, ssh; the launcher iptables too), as a file. One that was made
# before serves for trying out only: a release takes today's packages.
base_layer() {
    local arch=$1
    local layer=$BASES/base-$arch.tar
    [[ -s $layer && $profile == dev ]] || {
        [[ $arch == "$HOST_ARCH" ]] || emulation "$arch"
        # shellcheck disable=SC2016 # mmdebstrap's own shell fills it in
        mmdebstrap --quiet --variant=essential --architectures="$(debian_arch "$arch")" \
            --include=ca-certificates,git,iptables,openssh-client \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
            --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/machine-id' \
            bookworm "${layer%.tar}.part.tar" >&2
        mv "${layer%.tar}.part.tar" "$layer"
    }
    printf '%s\n' "$layer"
}

# blob FILE: into the image's blobs; leaves $BLOB_DIGEST and $BLOB_SIZE.
blob() {
    BLOB_DIGEST=$(sha256sum <"$1" | cut -d ' ' -f 1)
    BLOB_SIZE=$(stat -c %s "$1")
    mkdir -p "$IMAGE_DIR/blobs/sha256"
    cp "$1" "$IMAGE_DIR/blobs/sha256/$BLOB_DIGEST"
}

# add_layer TAR: one more layer of the image.
add_layer() {
    local diff
    diff=$(sha256sum <"$1" | cut -d ' ' -f 1)
    pack_gzip <"$1" >"$SCRATCH/layer.gz"
    blob "$SCRATCH/layer.gz"
    IMAGE_DIFFS+=("sha256:$diff")
    IMAGE_LAYERS+=("$(jq -nc --arg digest "sha256:$BLOB_DIGEST" --argjson size "$BLOB_SIZE" \
        '{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $digest, size: $size}')")
}

# pack_image COMPONENT ARCH: an OCI layout in one file, which `docker load` of any age reads too.
pack_image() {
    local component=$1 arch=$2 program dir=$SCRATCH/program settings name time base path mode owner
    program=$(program_of "$component") name=gantry-$component
    IMAGE_DIR=$SCRATCH/image IMAGE_DIFFS=() IMAGE_LAYERS=()
    rm -rf "$IMAGE_DIR" "$dir"
    mkdir -p "$IMAGE_DIR"
    install -D -m 755 "$STRIPPED/$arch/$program" "$dir/usr/bin/$program"
    settings=$(jq -c --arg component "$component" '.[$component]' "$GANTRY_ROOT/deploy/images.json")
    as_its_dockerfile "$component" "$settings"
    if [[ $(jq -r .base <<<"$settings") == debian ]]; then
        base=$(base_layer "$arch")
        add_layer "$base"
        add_account "$base" "$dir" "$settings"
    fi
    [[ $component != server ]] || {
        mkdir -p "$dir/usr/share/gantry"
        cp -r "$SCRATCH/workers/workers" "$dir/usr/share/gantry/workers"
    }
    pack_tar "$dir" >"$SCRATCH/program.tar"
    # Data directories, as the image's user needs them.
    while read -r path mode owner; do
        mkdir -p "$SCRATCH/empty/$path"
        tar --append --file "$SCRATCH/program.tar" --mtime="@$SOURCE_DATE_EPOCH" --owner="$owner" --group="$owner" --numeric-owner \
            --mode="$mode" --no-recursion -C "$SCRATCH/empty" "./$path"
    done < <(jq -r '.directories[] | "\(.path) \(.mode) \(.owner)"' <<<"$settings")
    add_layer "$SCRATCH/program.tar"
    time=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
    jq -nc --arg arch "$(debian_arch "$arch")" --arg time "$time" --arg version "$VERSION" --arg commit "$COMMIT" --arg name "$name" \
        --argjson settings "$settings" '{
            created: $time, architecture: $arch, os: "linux",
            config: ($settings.config + {Labels: {
                "org.opencontainers.image.title": $name, "org.opencontainers.image.version": $version,
                "org.opencontainers.image.revision": $commit, "org.opencontainers.image.licenses": "Apache-2.0"}}),
            rootfs: {type: "layers", diff_ids: $ARGS.positional},
            history: [$ARGS.positional[] | {created: $time, created_by: "scripts/release"}]
        }' --args "${IMAGE_DIFFS[@]}" >"$SCRATCH/config.json"
    blob "$SCRATCH/config.json"
    image_index "$name" "$arch"
    pack_tar "$IMAGE_DIR" >"$PARTS/$name-$VERSION-$arch.image.tar"
}

# as_its_dockerfile COMPONENT SETTINGS: the images of a release and those of deploy/images/build are the same to who runs them.
as_its_dockerfile() {
    local file=$GANTRY_ROOT/deploy/images/$1/Dockerfile said
    said=$(jq -n --rawfile text "$file" '
        ($text | gsub("\\\\\n"; " ")) as $text
        | def word($name): [$text | scan("(?m)^\($name) +(.*)$")[0]];
        {User: (word("USER")[0] // ""), Entrypoint: (word("ENTRYPOINT")[0] | fromjson), Cmd: (word("CMD")[0] // "null" | fromjson),
         Env: [word("ENV")[] | splits(" +") | select(. != "")] | sort,
         Test: (["CMD"] + (word("HEALTHCHECK")[0] | sub(".*CMD "; "") | fromjson))}')
    jq -ne --argjson said "$said" --argjson settings "$2" '$settings.config
        | {User, Entrypoint, Cmd, Env: (.Env | map(select(startswith("PATH=") | not)) | sort), Test: .Healthcheck.Test} == $said' >/dev/null ||
        die "deploy/images.json and $file differ about user, program, variables or health: $said"
}

# add_account BASE DIR SETTINGS: the user that a part runs as has a name.
add_account() {
    local name id home
    read -r name id home < <(jq -r '.accounts // empty | "\(.name) \(.id) \(.home)"' <<<"$3") || return 0
    mkdir -p "$2/etc"
    { tar -xOf "$1" ./etc/passwd && echo "$name:x:$id:$id:Gantry server:$home:/usr/sbin/nologin"; } >"$2/etc/passwd"
    { tar -xOf "$1" ./etc/group && echo "$name:x:$id:"; } >"$2/etc/group"
}

# image_index NAME ARCH: manifest and index over the layers and the configuration that was written last.
image_index() {
    local config=$BLOB_DIGEST tag=$1:$VERSION
    jq -sc --arg digest "sha256:$config" --argjson size "$BLOB_SIZE" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $digest, size: $size}, layers: .
    }' <<<"${IMAGE_LAYERS[*]}" >"$SCRATCH/manifest.json"
    blob "$SCRATCH/manifest.json"
    jq -nc --arg digest "sha256:$BLOB_DIGEST" --argjson size "$BLOB_SIZE" --arg tag "$tag" --arg version "$VERSION" \
        --arg arch "$(debian_arch "$2")" '{
            schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
            manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size,
                platform: {architecture: $arch, os: "linux"},
                annotations: {"io.containerd.image.name": $tag, "org.opencontainers.image.ref.name": $version}}]
        }' >"$IMAGE_DIR/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$IMAGE_DIR/oci-layout"
    # What engines before OCI layouts read.
    jq -sc --arg config "blobs/sha256/$config" --arg tag "$tag" \
        '[{Config: $config, RepoTags: [$tag], Layers: [.[].digest | sub("sha256:"; "blobs/sha256/")]}]' \
        <<<"${IMAGE_LAYERS[*]}" >"$IMAGE_DIR/manifest.json"
}

# emulation ARCH: the kernel starts programs of the other architecture.
emulation() {
    local entry=/proc/sys/fs/binfmt_misc/qemu-$1
    [[ -e $entry ]] && return 0
    need qemu-user-static:"qemu-$1-static"
    [[ -e /proc/sys/fs/binfmt_misc/register ]] || as_root mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [[ -e $entry ]] || as_root sh -c "cat /usr/lib/binfmt.d/qemu-$1.conf >/proc/sys/fs/binfmt_misc/register"
    [[ -e $entry ]] || die "this kernel starts no programs of $1 (binfmt_misc)"
}

# --- the list of parts ---------------------------------------------------------------------------------------

pack_sbom() {
    local digest serial libc
    digest=$(printf '%s %s' "$VERSION" "$COMMIT" | sha256sum)
    # A name-based UUID: the same release has the same one.
    serial=${digest:0:8}-${digest:8:4}-5${digest:13:3}-8${digest:17:3}-${digest:20:12}
    libc=$(jq -nc '[$ARGS.positional[] | split(" ") | {name: "glibc", version: .[1],
        purl: "pkg:deb/debian/glibc@\(.[1])?arch=\(.[0])"}]' --args "${LIBCS[@]}")
    cargo metadata --locked --format-version 1 --manifest-path "$GANTRY_ROOT/Cargo.toml" \
        --filter-platform x86_64-unknown-linux-gnu --filter-platform aarch64-unknown-linux-gnu |
        jq --from-file "$GANTRY_ROOT/scripts/sbom.jq" --arg version "$VERSION" --arg commit "$COMMIT" --arg serial "$serial" \
            --arg time "$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
            --rawfile lock "$GANTRY_ROOT/Cargo.lock" --argjson static "$libc" --args "${PROGRAMS[@]}" \
            >"$PARTS/gantry-$VERSION.cdx.json"
}
