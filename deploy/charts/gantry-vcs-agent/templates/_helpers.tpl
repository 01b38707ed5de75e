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
{{- $image := .Values.image -}}
{{- if not $image.repository -}}
{{- fail "image.repository is not set: say where the image is, such as registry.example.org/gantry/gantry-vcs-agent" -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "gantry.check" -}}
{{- if not .Values.credentials.existingSecret -}}
{{- fail "credentials.existingSecret is not set: name a Secret with the pool's token" -}}
{{- end -}}
{{- if not .Values.agent.targetBaseEndpoint -}}
{{- fail "agent.targetBaseEndpoint is not set: say where the code host is, such as https://git.example.org" -}}
{{- end -}}
{{- if not .Values.agent.vendor -}}
{{- fail "agent.vendor is not set: azure_devops, bitbucket_datacenter, github_enterprise or gitlab" -}}
{{- end -}}
{{- range $name, $value := .Values.agent.env -}}
{{- if has $name (list "SPACELIFT_VCS_AGENT_POOL_TOKEN" "GANTRY_VCS_AGENT_CREDENTIAL") -}}
{{- fail (printf "agent.env.%s is a secret: put it into the Secret that credentials.existingSecret names" $name) -}}
{{- end -}}
{{- if has $name (list "SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT" "SPACELIFT_VCS_AGENT_VENDOR" "SPACELIFT_VCS_AGENT_ALLOWED_PROJECTS" "SPACELIFT_VCS_AGENT_PARALLELISM" "GANTRY_VCS_AGENT_DRAIN_TIMEOUT" "GANTRY_VCS_AGENT_HEALTH_ADDR" "ADDITIONAL_ROOT_CAS" "HTTP_PROXY" "HTTPS_PROXY" "NO_PROXY" "CREDENTIALS_DIRECTORY") -}}
{{- fail (printf "agent.env.%s is set by this chart from other values: use those" $name) -}}
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
