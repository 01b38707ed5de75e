{{- /* Names and texts of the templates; what can't be given is refused here, one line each. */ -}}
{{- define "gantry.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gantry.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gantry.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gantry.image" -}}
{{- $image := index .Values.images .which -}}
{{- if not $image.repository -}}
{{- fail (printf "images.%s.repository is not set: say where the image is, such as registry.example.org/gantry/gantry-%s" .which (ternary "dind" .which (eq .which "engine"))) -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "gantry.check" -}}
{{- if not .Values.credentials.existingSecret -}}
{{- fail "credentials.existingSecret is not set: name a Secret with the pool's token and private key" -}}
{{- end -}}
{{- if not .Values.launcher.workerTrustKeys -}}
{{- fail "launcher.workerTrustKeys is not set: name the release keys that may sign the worker" -}}
{{- end -}}
{{- range $name, $value := .Values.launcher.env -}}
{{- if has $name (list "SPACELIFT_TOKEN" "SPACELIFT_POOL_PRIVATE_KEY") -}}
{{- fail (printf "launcher.env.%s is a secret: put it into the Secret that credentials.existingSecret names" $name) -}}
{{- end -}}
{{- if has $name (list "DOCKER_HOST" "GANTRY_DATA_DIR" "GANTRY_HEALTH_LISTEN" "GANTRY_MACHINE_ID" "GANTRY_CAPACITY" "GANTRY_WORKER_TRUST_KEYS" "GANTRY_ALLOWED_REGISTRIES" "GANTRY_BLOCK_METADATA" "GANTRY_RUN_MEMORY_MB" "GANTRY_RUN_CPUS" "GANTRY_APPLY_STOP_GRACE" "SPACELIFT_LAUNCHER_RUN_TIMEOUT" "SPACELIFT_DEFAULT_RUNNER_IMAGE" "ADDITIONAL_ROOT_CAS" "HTTP_PROXY" "HTTPS_PROXY" "NO_PROXY" "CREDENTIALS_DIRECTORY") -}}
{{- fail (printf "launcher.env.%s is set by this chart from other values: use those" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gantry.proxies" -}}
{{- range $key, $variable := dict "http" "HTTP_PROXY" "https" "HTTPS_PROXY" "noProxy" "NO_PROXY" }}
{{- $value := index $.Values.proxy $key }}
{{- if contains "@" $value }}
{{- fail (printf "proxy.%s holds a user or password: put it into a Secret and name that in proxy.existingSecret" $key) }}
{{- end }}
{{- if and $value (not $.Values.proxy.existingSecret) }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.additionalRootCas }}
- name: ADDITIONAL_ROOT_CAS
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "gantry.serviceAccount" -}}
{{- default (ternary (include "gantry.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* Longest run, its grace, and some time for the engine. */ -}}
{{- define "gantry.patience" -}}
{{- mul 60 (add .Values.run.timeoutMinutes .Values.run.applyStopGraceMinutes 5) -}}
{{- end -}}

{{- define "gantry.claim" -}}
{{- if .volume.storageClass }}
storageClassName: {{ .volume.storageClass }}
{{- end }}
accessModes: [ReadWriteOncePod]
resources:
  requests:
    storage: {{ .volume.size }}
{{- end -}}
