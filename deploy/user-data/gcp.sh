# shellcheck shell=bash
# shellcheck disable=SC2034  # core.sh reads them
# What is Google's: metadata, secrets of Secret Manager by the service account, preemption.
#
# Settings of its own: GANTRY_PROJECT (of the secrets; the instance's own otherwise).
# Never: a token of the account in an argument, or a request to the metadata service through a proxy.

IMDS=${GANTRY_METADATA_ENDPOINT:-http://metadata.google.internal}
SECRETS=${GANTRY_SECRETS_ENDPOINT:-https://secretmanager.googleapis.com}

imds() { curl --noproxy '*' -fsS --max-time 10 --retry 3 -H 'Metadata-Flavor: Google' "$IMDS/computeMetadata/v1/$1"; }

cloud_programs() { :; }

cloud_identity() {
    local silent="the metadata service at $IMDS does not say which instance this is"
    INSTANCE=$(imds instance/id) || fail "$silent"
    NAME=$(imds instance/name) || fail "$silent"
    ZONE=$(imds instance/zone) || fail "$silent"
    PROJECT=${GANTRY_PROJECT:-$(imds project/project-id)} || fail "$silent"
    MACHINE=$(imds instance/machine-type) || fail "$silent"
    MANAGER=$(imds instance/attributes/created-by 2>/dev/null) || MANAGER=''
}

# What the published module and the published autoscaler look for, which are not the same.
cloud_metadata() {
    printf 'SPACELIFT_METADATA_cloud_provider=gcp\nSPACELIFT_METADATA_gcp_instance_name=%s\n' "$NAME"
    printf 'SPACELIFT_METADATA_gcp_zone=%s\nSPACELIFT_METADATA_gcp_machine_type=%s\n' "${ZONE##*/}" "${MACHINE##*/}"
    printf 'SPACELIFT_METADATA_gcp_instance_id=projects/%s/zones/%s/instances/%s\n' "$PROJECT" "${ZONE##*/}" "$NAME"
    [[ -z $MANAGER ]] || printf 'SPACELIFT_METADATA_gcp_igm_id=%s\n' "$MANAGER"
    printf 'SPACELIFT_METADATA_instance_id=%s\n' "$INSTANCE"
}

cloud_secret() {
    local token
    token=$(imds instance/service-accounts/default/token | jq -er .access_token) || return
    curl -fsS --max-time 20 --config - "$SECRETS/v1/projects/$PROJECT/secrets/$1/versions/latest:access" \
        <<<"header = \"Authorization: Bearer $token\"" | jq -er .payload.data | base64 -d
}

cloud_fetch() {
    echo "a release comes from https or from a directory of the image" >&2
    return 1
}

# A machine that is off is made anew by its group.
cloud_ready() { :; }
cloud_give_up() { systemctl poweroff; }

# A notice comes 30 s ahead. Where a group shrinks there is none: drain first, then delete that instance.
cloud_leaving() { [[ $(imds instance/preempted 2>/dev/null) == TRUE ]]; }
cloud_heartbeat() { :; }
cloud_go() { :; }

cloud_ship_logs() { fail "GANTRY_LOG_GROUP has no meaning on Google's cloud: the Ops Agent reads the journal"; }
