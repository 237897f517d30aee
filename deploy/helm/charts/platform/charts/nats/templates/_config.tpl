{{/* The configuration of the server, as it stands in the ConfigMap. */}}

{{/* The listeners in the order of the server's documents: name, whether on, port. JSON list. */}}
{{- define "nats.listeners" -}}
{{- $config := .Values.config -}}
{{- $listeners := list -}}
{{- range $default := list (list "nats" 4222) (list "leafnodes" 7422) (list "websocket" 8080) (list "mqtt" 1883) (list "cluster" 6222) (list "gateway" 7222) (list "monitor" 8222) (list "profiling" 65432) -}}
{{- $name := first $default -}}
{{- $section := default dict (index $config $name) -}}
{{- if or (eq $name "nats") $section.enabled -}}
{{- /* The certificate of the monitor is that of the clients' listener. */ -}}
{{- $listeners = append $listeners (dict "name" $name "port" (default (last $default) $section.port | int) "tls" (not (empty ($section.tls).enabled))) -}}
{{- end -}}
{{- end -}}
{{- toJson $listeners -}}
{{- end -}}

{{/* Bytes of a Kubernetes quantity, such as 10Gi: call with (list QUANTITY PATH-OF-THE-VALUE). */}}
{{- define "nats.bytes" -}}
{{- $quantity := include "nats.text" (index . 0) -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?([kMGTP]i?|Ki)?$" $quantity) -}}
{{- fail (printf "nats.%s: must be an amount such as 10Gi or 500M. Got: %q" (index . 1) $quantity) -}}
{{- end -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000 "Ki" 1024 "ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $number := regexFind "^[0-9.]+" $quantity -}}
{{- mulf (float64 $number) (float64 (get $units (trimPrefix $number $quantity))) | int64 -}}
{{- end -}}

{{/* Name of the Secret with the certificate of a listener; empty when the user says otherwise where it is: call with
(list . LISTENER SECTION). Without a name in the values the pod waits for a Secret of the chart's choice. */}}
{{- define "nats.tlsSecret" -}}
{{- $listener := index . 1 -}}
{{- $tls := default dict (index . 2).tls -}}
{{- if and $tls.enabled (ne $listener "monitor") -}}
{{- if $tls.secretName -}}
{{- $tls.secretName -}}
{{- else if not ($tls.merge).cert_file -}}
{{- include "nats.fullname" (index . 0) -}}{{- if ne $listener "nats" -}}-{{ $listener }}{{- end -}}-tls
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nats.tlsFolder" -}}
{{- default (printf "/etc/nats-certs/%s" (index . 0)) (index . 1).dir -}}
{{- end -}}

{{/* JSON of the tls block of a listener: call with (list . LISTENER SECTION). */}}
{{- define "nats.tlsBlock" -}}
{{- $root := index . 0 -}}
{{- $listener := index . 1 -}}
{{- $tls := (index . 2).tls -}}
{{- $block := dict -}}
{{- if include "nats.tlsSecret" . -}}
{{- $folder := include "nats.tlsFolder" (list $listener $tls) -}}
{{- $_ := set $block "cert_file" (printf "%s/%s" $folder (default "tls.crt" $tls.cert)) -}}
{{- $_ := set $block "key_file" (printf "%s/%s" $folder (default "tls.key" $tls.key)) -}}
{{- end -}}
{{- if ($root.Values.tlsCA).enabled -}}
{{- $_ := set $block "ca_file" (include "nats.caFile" $root) -}}
{{- end -}}
{{- include "nats.changed" (list (toJson $block) $tls (printf "config.%s.tls.patch" $listener)) | fromYaml | toJson -}}
{{- end -}}

{{- define "nats.caFile" -}}
{{- $ca := default dict .Values.tlsCA -}}
{{- printf "%s/%s" (default "/etc/nats-ca-cert" $ca.dir) (default "ca.crt" $ca.key) -}}
{{- end -}}

{{/* JSON of a listener's section after the user's changes: call with (list . LISTENER BLOCK). */}}
{{- define "nats.section" -}}
{{- $root := index . 0 -}}
{{- $listener := index . 1 -}}
{{- $section := index $root.Values.config $listener -}}
{{- $block := index . 2 -}}
{{- if ($section.tls).enabled -}}
{{- $_ := set $block "tls" (include "nats.tlsBlock" (list $root $listener $section) | fromJson) -}}
{{- else if eq $listener "websocket" -}}
{{- $_ := set $block "no_tls" true -}}
{{- end -}}
{{- include "nats.changed" (list (toJson $block) $section (printf "config.%s.patch" $listener)) | fromYaml | toJson -}}
{{- end -}}

{{/* JSON list of the routes between the servers. */}}
{{- define "nats.routes" -}}
{{- $cluster := .Values.config.cluster -}}
{{- $urls := default dict $cluster.routeURLs -}}
{{- $scheme := ternary "tls" "nats" (not (empty ($cluster.tls).enabled)) -}}
{{- $user := "" -}}
{{- if and $urls.user $urls.password -}}{{- $user = printf "%s:%s@" (urlquery $urls.user) (urlquery $urls.password) -}}{{- end -}}
{{- $domain := "" -}}
{{- if $urls.useFQDN -}}{{- $domain = printf ".%s.svc.%s" (include "nats.namespace" .) (default "cluster.local" $urls.k8sClusterDomain) -}}{{- end -}}
{{- $routes := list -}}
{{- range $number := until (include "nats.replicas" . | int) -}}
{{- $host := printf "%s-%d.%s%s" (include "nats.statefulSetName" $) $number (include "nats.headlessServiceName" $) $domain -}}
{{- $routes = append $routes (printf "%s://%s%s:%d" $scheme $user $host (default 6222 $cluster.port | int)) -}}
{{- end -}}
{{- toJson $routes -}}
{{- end -}}

{{- define "nats.replicas" -}}
{{- if ((.Values.config).cluster).enabled -}}{{- default 3 .Values.config.cluster.replicas -}}{{- else -}}1{{- end -}}
{{- end -}}

{{- define "nats.jetstreamBlock" -}}
{{- $jetstream := .Values.config.jetstream -}}
{{- $file := default dict $jetstream.fileStore -}}
{{- $memory := default dict $jetstream.memoryStore -}}
{{- $block := dict "store_dir" (default "/data" $file.dir) "max_file_store" 0 "max_memory_store" 0 -}}
{{- if $file.enabled -}}
{{- $size := default (default "10Gi" ($file.pvc).size) $file.maxSize -}}
{{- $_ := set $block "max_file_store" (include "nats.bytes" (list $size "config.jetstream.fileStore.maxSize") | int64) -}}
{{- end -}}
{{- if $memory.enabled -}}
{{- $_ := set $block "max_memory_store" (include "nats.bytes" (list (default "1Gi" $memory.maxSize) "config.jetstream.memoryStore.maxSize") | int64) -}}
{{- end -}}
{{- include "nats.changed" (list (toJson $block) $jetstream "config.jetstream.patch") | fromYaml | toJson -}}
{{- end -}}

{{/* JSON of the whole configuration. */}}
{{- define "nats.configuration" -}}
{{- $config := .Values.config -}}
{{- $name := include "nats.statefulSetName" . -}}
{{- $server := dict "server_name" "<< $SERVER_NAME >>" "pid_file" "/var/run/nats/nats.pid" "lame_duck_grace_period" "10s" "lame_duck_duration" "30s" -}}
{{- range $listener := include "nats.listeners" . | fromJsonArray -}}
{{- $port := int $listener.port -}}
{{- $block := dict "port" $port -}}
{{- if eq $listener.name "nats" -}}
{{- $_ := set $server "port" $port -}}
{{- if $listener.tls -}}
{{- $_ := set $server "tls" (include "nats.tlsBlock" (list $ "nats" $config.nats) | fromJson) -}}
{{- end -}}
{{- else if eq $listener.name "monitor" -}}
{{- $_ := set $server (ternary "https_port" "http_port" $listener.tls) $port -}}
{{- else if eq $listener.name "profiling" -}}
{{- $_ := set $server "prof_port" $port -}}
{{- else -}}
{{- if eq $listener.name "cluster" -}}
{{- $block = merge $block (dict "name" (default $name $config.cluster.name) "no_advertise" true "routes" (include "nats.routes" $ | fromJsonArray)) -}}
{{- else if eq $listener.name "gateway" -}}
{{- $block = merge $block (dict "name" $name) -}}
{{- else if eq $listener.name "leafnodes" -}}
{{- $block = merge $block (dict "no_advertise" true) -}}
{{- else if eq $listener.name "websocket" -}}
{{- $block = merge $block (dict "compression" true) -}}
{{- end -}}
{{- $_ := set $server $listener.name (include "nats.section" (list $ $listener.name $block) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- if ($config.jetstream).enabled -}}
{{- $_ := set $server "jetstream" (include "nats.jetstreamBlock" . | fromJson) -}}
{{- end -}}
{{- if ($config.resolver).enabled -}}
{{- $resolver := dict "type" "full" "dir" (default "/data/resolver" $config.resolver.dir) -}}
{{- $_ := set $server "resolver" (include "nats.changed" (list (toJson $resolver) $config.resolver "config.resolver.patch") | fromYaml) -}}
{{- end -}}
{{- include "nats.changed" (list (toJson $server) $config "config.patch") | fromYaml | toJson -}}
{{- end -}}

{{/* The text of nats.conf: JSON, which the server reads, but for the two things that JSON cannot say. "<< TEXT >>" stands without
quotes, for variables such as << $TOKEN >> and amounts such as << 1GB >>; a key that begins with $include reads a file. */}}
{{- define "nats.configurationText" -}}
{{- $text := include "nats.configuration" . | fromJson | toPrettyJson -}}
{{- $text = $text | replace "\\u003c" "<" | replace "\\u003e" ">" | replace "\\u0026" "&" -}}
{{- $text = regexReplaceAll "\"<<\\s+(.*?)\\s+>>\"" $text "${1}" -}}
{{- regexReplaceAll "\"[^\"\\n]*\\$include\": \"([^\"]*)\",?" $text "include ${1};" -}}
{{- end -}}

{{/* JSON list of the files that the configuration reads: the reloader watches them, too. Call with a part of it. */}}
{{- define "nats.watchedFiles" -}}
{{- $files := list -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . -}}
{{- if or (has $key (list "cert_file" "key_file" "ca_file")) (hasSuffix "$include" $key) -}}
{{- if kindIs "string" $value -}}
{{- $files = append $files (ternary $value (printf "/etc/nats-config/%s" (trimPrefix "./" $value)) (hasPrefix "/" $value)) -}}
{{- end -}}
{{- else -}}
{{- $files = concat $files (include "nats.watchedFiles" $value | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}{{- $files = concat $files (include "nats.watchedFiles" . | fromJsonArray) -}}{{- end -}}
{{- end -}}
{{- toJson (uniq $files) -}}
{{- end -}}
