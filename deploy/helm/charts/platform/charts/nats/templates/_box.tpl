{{/* nats-box: a pod with the command line of NATS, to look around. */}}

{{- define "nats.boxName" -}}
{{- default (printf "%s-box" (include "nats.fullname" .)) ((.Values.natsBox).deployment).name -}}
{{- end -}}

{{- define "nats.boxContextsName" -}}
{{- default (printf "%s-box-contexts" (include "nats.fullname" .)) ((.Values.natsBox).contextsSecret).name -}}
{{- end -}}

{{- define "nats.boxContentsName" -}}
{{- default (printf "%s-box-contents" (include "nats.fullname" .)) ((.Values.natsBox).contentsSecret).name -}}
{{- end -}}

{{/* JSON list of the files of a context: kind (creds, nkey, tls), folder, secret, and content when it is in the values. */}}
{{- define "nats.boxFiles" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $context := index . 2 -}}
{{- $files := list -}}
{{- range $kind, $key := dict "creds" "nats.creds" "nkey" "nats.nk" "tls" "tls.crt" -}}
{{- $part := default dict (index $context $kind) -}}
{{- $file := default $key (ternary $part.cert $part.key (eq $kind "tls")) -}}
{{- $folder := default (printf "/etc/nats-%s/%s" $kind $name) $part.dir -}}
{{- $entry := dict "kind" $kind "file" (printf "%s/%s" $folder $file) "folder" $folder "volume" (printf "ctx-%s-%s" $name $kind) -}}
{{- if $part.contents -}}
{{- $files = append $files (merge $entry (dict "secret" (include "nats.boxContentsName" $root) "contentKey" (printf "%s.%s" $name $file) "content" $part.contents "as" $file)) -}}
{{- else if $part.secretName -}}
{{- $files = append $files (merge $entry (dict "secret" $part.secretName)) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/* JSON of a context as the program reads it. */}}
{{- define "nats.boxContext" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $context := default dict (index . 2) -}}
{{- $nats := $root.Values.config.nats -}}
{{- $scheme := ternary "tls" "nats" (not (empty ($nats.tls).enabled)) -}}
{{- $content := dict "url" (printf "%s://%s:%d" $scheme (include "nats.serviceName" $root) (default 4222 $nats.port | int)) -}}
{{- range include "nats.boxFiles" (list $root $name $context) | fromJsonArray -}}
{{- if eq .kind "tls" -}}
{{- $_ := set $content "cert" .file -}}
{{- $_ := set $content "key" (printf "%s/%s" .folder (default "tls.key" $context.tls.key)) -}}
{{- else -}}
{{- $_ := set $content .kind .file -}}
{{- end -}}
{{- end -}}
{{- if ($root.Values.tlsCA).enabled -}}{{- $_ := set $content "ca" (include "nats.caFile" $root) -}}{{- end -}}
{{- include "nats.changed" (list (toJson $content) $context (printf "natsBox.contexts.%s.patch" $name)) | fromYaml | toJson -}}
{{- end -}}

{{/* JSON list of volumes with their place, like nats.volumes. */}}
{{- define "nats.boxVolumes" -}}
{{- $box := .Values.natsBox -}}
{{- $items := list -}}
{{- range $name, $context := $box.contexts -}}
{{- if not (kindIs "invalid" $context) -}}
{{- $items = append $items (dict "key" (printf "%s.json" $name) "path" (printf "nats/context/%s.json" $name)) -}}
{{- end -}}
{{- end -}}
{{- $volumes := list (dict "name" "contexts" "mountPath" "/etc/nats-contexts" "source" (dict "secret" (dict "secretName" (include "nats.boxContextsName" .) "items" $items))) -}}
{{- $volumes = append $volumes (dict "name" "tmp" "mountPath" "/tmp" "source" (dict "emptyDir" dict)) -}}
{{- range $name, $context := $box.contexts -}}
{{- if not (kindIs "invalid" $context) -}}
{{- range include "nats.boxFiles" (list $ $name $context) | fromJsonArray -}}
{{- $secret := dict "secretName" .secret -}}
{{- if .contentKey -}}{{- $_ := set $secret "items" (list (dict "key" .contentKey "path" .as)) -}}{{- end -}}
{{- $volumes = append $volumes (dict "name" .volume "mountPath" .folder "source" (dict "secret" $secret)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with include "nats.caVolume" . | fromJson -}}{{- $volumes = append $volumes . -}}{{- end -}}
{{- toJson $volumes -}}
{{- end -}}

{{- define "nats.boxContainer" -}}
{{- $values := default dict .Values.natsBox.container -}}
name: nats-box
{{ include "nats.image" (list . $values.image) }}
command:
  - sleep
  - infinity
env:
  # The program looks for its contexts in the folder "nats" below the first, and may write below the second only.
  - name: XDG_CONFIG_HOME
    value: /etc/nats-contexts
  - name: HOME
    value: /tmp
  {{- with .Values.natsBox.defaultContextName }}
  - name: NATS_CONTEXT
    value: {{ . | quote }}
  {{- end }}
  {{- with $values.env }}
  {{- include "nats.env" . | nindent 2 }}
  {{- end }}
volumeMounts:
  {{- range include "nats.boxVolumes" . | fromJsonArray }}
  - {{ pick . "name" "mountPath" | toJson }}
  {{- end }}
{{ include "nats.containerSecurity" . }}
{{- end -}}

{{- define "nats.boxPodTemplate" -}}
metadata:
  labels:
    {{- include "nats.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: nats-box
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if (.Values.natsBox.serviceAccount).enabled }}
  serviceAccountName: {{ default (include "nats.boxName" .) .Values.natsBox.serviceAccount.name | quote }}
  {{- end }}
  # "sleep" does not end when it is asked to.
  terminationGracePeriodSeconds: 1
  {{- include "nats.podSecurity" . | nindent 2 }}
  containers:
    - {{ include "nats.changed" (list (include "nats.boxContainer" .) .Values.natsBox.container "natsBox.container.patch") | nindent 6 | trim }}
  volumes:
    {{- range include "nats.boxVolumes" . | fromJsonArray }}
    - {{ merge (dict "name" .name) .source | toJson }}
    {{- end }}
{{- end -}}
