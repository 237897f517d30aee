{{/* `merge` and `patch` of the values: the user's changes to what this chart renders. */}}

{{/* YAML of an object with the changes of a section that has `merge` and `patch`: call with (list YAML SECTION PATH-OF-SECTION). */}}
{{- define "nats.changed" -}}
{{- $object := index . 0 | fromYaml -}}
{{- $section := default dict (index . 1) -}}
{{- $object = include "nats.merged" (list $object (default dict $section.merge)) | fromJson -}}
{{- include "nats.patched" (list $object (default list $section.patch) (index . 2)) | fromJson | toYaml -}}
{{- end -}}

{{/* JSON of a map with another one over it, key by key: call with (list BASE OVER). Other than with the merge functions of Helm,
false, 0 and "" count; null takes a key away. */}}
{{- define "nats.merged" -}}
{{- $base := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $base $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (index $base $key)) -}}
{{- $_ := set $base $key (include "nats.merged" (list (index $base $key) $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $base $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $base -}}
{{- end -}}

{{/* JSON of a map after the operations of a JSON patch (RFC 6902): call with (list MAP OPERATIONS PATH-OF-THE-VALUE). */}}
{{- define "nats.patched" -}}
{{- $holder := dict "value" (index . 0) -}}
{{- $where := index . 2 -}}
{{- range $number, $operation := index . 1 -}}
{{- $at := printf "nats.%s[%d]" $where $number -}}
{{- if not (kindIs "map" $operation) -}}
{{- fail (printf "%s: an operation is a map of op, path and value. Got: %s" $at (toJson $operation)) -}}
{{- end -}}
{{- $op := default "" $operation.op -}}
{{- if not (has $op (list "add" "replace" "remove")) -}}
{{- fail (printf "%s.op: this chart knows the operations add, replace and remove. Got: %q" $at $op) -}}
{{- end -}}
{{- $path := default "" $operation.path -}}
{{- if not (hasPrefix "/" $path) -}}
{{- fail (printf "%s.path: must begin with / and name what is to be changed, such as /spec/template. Got: %q" $at $path) -}}
{{- end -}}
{{- if and (ne $op "remove") (not (hasKey $operation "value")) -}}
{{- fail (printf "%s.value: the operation %s needs a value" $at $op) -}}
{{- end -}}
{{- $keys := list -}}
{{- range splitList "/" (trimPrefix "/" $path) -}}
{{- $keys = append $keys (. | replace "~1" "/" | replace "~0" "~") -}}
{{- end -}}
{{- $step := dict "node" $holder.value "keys" $keys "op" $op "value" (index $operation "value") "at" (printf "%s.path %q" $at $path) -}}
{{- $holder = include "nats.patchedAt" $step | fromJson -}}
{{- end -}}
{{- toJson $holder.value -}}
{{- end -}}

{{/* JSON {"value": NODE} after one operation below this node. */}}
{{- define "nats.patchedAt" -}}
{{- $key := first .keys -}}
{{- $last := eq (len .keys) 1 -}}
{{- $node := .node -}}
{{- $at := .at -}}
{{- if kindIs "map" $node -}}
{{- if and (not (hasKey $node $key)) (not (and $last (eq .op "add"))) -}}
{{- fail (printf "%s: there is no %q; there are: %s" $at $key (keys $node | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if not $last -}}
{{- $step := merge (dict "node" (index $node $key) "keys" (rest .keys)) (pick . "op" "value" "at") -}}
{{- $_ := set $node $key (include "nats.patchedAt" $step | fromJson).value -}}
{{- else if eq .op "remove" -}}
{{- $_ := unset $node $key -}}
{{- else -}}
{{- $_ := set $node $key .value -}}
{{- end -}}
{{- toJson (dict "value" $node) -}}
{{- else if kindIs "slice" $node -}}
{{- $appends := and $last (eq .op "add") (or (eq $key "-") (eq $key (toString (len $node)))) -}}
{{- if $appends -}}
{{- toJson (dict "value" (append $node .value)) -}}
{{- else -}}
{{- if or (not (regexMatch "^(0|[1-9][0-9]*)$" $key)) (ge (int $key) (len $node)) -}}
{{- fail (printf "%s: %q is no position in a list of %d" $at $key (len $node)) -}}
{{- end -}}
{{- $list := list -}}
{{- range $index, $item := $node -}}
{{- if ne $index (int $key) -}}
{{- $list = append $list $item -}}
{{- else if not $last -}}
{{- $step := merge (dict "node" $item "keys" (rest $.keys)) (pick $ "op" "value" "at") -}}
{{- $list = append $list (include "nats.patchedAt" $step | fromJson).value -}}
{{- else if eq $.op "replace" -}}
{{- $list = append $list $.value -}}
{{- else if eq $.op "add" -}}
{{- $list = concat $list (list $.value $item) -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "value" $list) -}}
{{- end -}}
{{- else -}}
{{- fail (printf "%s: %q cannot be looked up in %s" $at $key (toJson $node)) -}}
{{- end -}}
{{- end -}}
