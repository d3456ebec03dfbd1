{{- define "gatecount.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "gatecount.labels" -}}
app.kubernetes.io/name: gatecount
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the pods that deliver from the stream. */}}
{{- define "gatecount.streamLabels" -}}
app.kubernetes.io/name: gatecount-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the container may do: nothing but run. */}}
{{- define "gatecount.securityContext" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* The stream's servers, where there are some. */}}
{{- define "gatecount.stream" -}}
{{- if .Values.stream.url }}
- name: GATECOUNT_STREAM_URL
  value: {{ .Values.stream.url | quote }}
- name: GATECOUNT_STREAM_REPLICAS
  value: {{ .Values.stream.replicas | quote }}
{{- end }}
{{- end }}

{{/* The container, in both modes. Takes the root as `root` and the app's URL as `app`. */}}
{{- define "gatecount.container" -}}
{{- $values := .root.Values -}}
name: gatecount
image: "{{ $values.image.repository }}:{{ $values.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ $values.image.pullPolicy }}
env:
  - name: GATECOUNT_LISTEN_ADDRESS
    value: 0.0.0.0:8080
  - name: GATECOUNT_ADMIN_ADDRESS
    value: 0.0.0.0:9090
  - name: GATECOUNT_APP_URL
    value: {{ .app | quote }}
  {{- if $values.config }}
  - name: GATECOUNT_CONFIG
    value: /etc/gatecount/gatecount.toml
  {{- else }}
  - name: GATECOUNT_DOMAIN
    value: {{ required "domain: say the site's name at Plausible, or config" $values.domain | quote }}
  - name: GATECOUNT_PLAUSIBLE_URL
    value: {{ $values.plausible.url | quote }}
  {{- end }}
  {{- if eq $values.queue.kind "memory" }}
  - name: GATECOUNT_QUEUE_AT
    value: memory
  {{- else }}
  - name: GATECOUNT_QUEUE_PATH
    value: /var/lib/gatecount/queue
  {{- end }}
  - name: GATECOUNT_LISTEN_MAX_CONNECTIONS
    value: {{ $values.maxConnections | quote }}
  - name: GATECOUNT_LISTEN_DRAIN
    value: {{ printf "%ds" (int $values.drainSeconds) | quote }}
  {{- with include "gatecount.stream" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: gatecount
    containerPort: 8080
  - name: gatecount-admin
    containerPort: 9090
readinessProbe:
  httpGet:
    path: /readyz
    port: gatecount-admin
  periodSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: gatecount-admin
  periodSeconds: 10
  failureThreshold: 3
resources:
  {{- toYaml $values.resources | nindent 2 }}
{{ include "gatecount.securityContext" . }}
{{- if or $values.config (ne $values.queue.kind "memory") }}
volumeMounts:
  {{- if ne $values.queue.kind "memory" }}
  - name: gatecount-queue
    mountPath: /var/lib/gatecount
  {{- end }}
  {{- if $values.config }}
  - name: gatecount-config
    mountPath: /etc/gatecount
    readOnly: true
  {{- end }}
{{- end }}
{{- end }}

{{/* A pause before SIGTERM, in seconds. */}}
{{- define "gatecount.preStop" -}}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}

{{- define "gatecount.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .Values.queue.storageClassName }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.queue.size }}
{{- end }}

{{/* The pod's volumes. */}}
{{- define "gatecount.volumes" -}}
{{- if eq .Values.queue.kind "emptyDir" }}
- name: gatecount-queue
  emptyDir:
    sizeLimit: {{ .Values.queue.size }}
{{- else if eq .Values.queue.kind "ephemeral" }}
- name: gatecount-queue
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- include "gatecount.claim" . | nindent 8 }}
{{- else if eq .Values.queue.kind "persistent" }}
{{- if ne .Values.mode "gateway" }}
{{- fail "queue.kind: persistent needs mode: gateway; the pods of a Deployment can't each keep a disk of their own" }}
{{- end }}
{{- else if ne .Values.queue.kind "memory" }}
{{- fail "queue.kind: emptyDir, ephemeral, persistent or memory is wanted" }}
{{- end }}
{{- if .Values.config }}
- name: gatecount-config
  configMap:
    name: {{ include "gatecount.name" . }}
{{- end }}
{{- end }}
