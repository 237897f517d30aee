{{/* Arguments of the manager container, in the order of charts.md section 5. */}}

{{- define "dynamo-operator.managerArgs" -}}
{{- $restricted := include "dynamo-operator.restricted" . -}}
{{- $fullname := include "dynamo-operator.fullname" . -}}
{{- $dynamo := default dict .Values.dynamo -}}
{{- $args := default list .Values.controllerManager.manager.args -}}
{{- $args = concat $args (list "--leader-elect" (printf "--leader-election-id=%s" (include "dynamo-operator.leaderElectionId" .))) -}}
{{- if $restricted -}}
{{- $namespace := include "dynamo-operator.restrictedNamespace" . -}}
{{- $args = concat $args (list (printf "--restrictedNamespace=%s" $namespace) (printf "--leader-election-namespace=%s" $namespace)) -}}
{{- else -}}
{{- $args = append $args (printf "--leader-election-namespace=%s" (default "kube-system" (.Values.controllerManager.leaderElection).namespace)) -}}
{{- end -}}
{{- with .Values.natsAddr -}}{{- $args = append $args (printf "--natsAddr=%s" .) -}}{{- end -}}
{{- with .Values.etcdAddr -}}{{- $args = append $args (printf "--etcdAddr=%s" .) -}}{{- end -}}
{{- with include "dynamo-operator.istioGateway" . -}}{{- $args = append $args (printf "--istio-virtual-service-gateway=%s" .) -}}{{- end -}}
{{- if ($dynamo.ingress).enabled -}}
{{- with $dynamo.ingress.className -}}{{- $args = append $args (printf "--ingress-controller-class-name=%s" .) -}}{{- end -}}
{{- with $dynamo.ingress.tlsSecretName -}}{{- $args = append $args (printf "--ingress-controller-tls-secret-name=%s" .) -}}{{- end -}}
{{- end -}}
{{- with $dynamo.ingressHostSuffix -}}{{- $args = append $args (printf "--ingress-host-suffix=%s" .) -}}{{- end -}}
{{- with $dynamo.groveTerminationDelay -}}{{- $args = append $args (printf "--grove-termination-delay=%s" .) -}}{{- end -}}
{{- with .Values.modelExpressURL -}}{{- $args = append $args (printf "--model-express-url=%s" .) -}}{{- end -}}
{{- with ($dynamo.metrics).prometheusEndpoint -}}{{- $args = append $args (printf "--prometheus-endpoint=%s" .) -}}{{- end -}}
{{- with ($dynamo.mpiRun).secretName -}}
{{- $args = concat $args (list (printf "--mpi-run-ssh-secret-name=%s" .) (printf "--mpi-run-ssh-secret-namespace=%s" $.Release.Namespace)) -}}
{{- end -}}
{{- if not $restricted -}}
{{- range list "dgdr-profiling" "planner" "epp" -}}
{{- $args = append $args (printf "--%s-cluster-role-name=%s-%s" . $fullname .) -}}
{{- end -}}
{{- end -}}
{{- $args = append $args (printf "--discovery-backend=%s" .Values.discoveryBackend) -}}
{{- if $restricted -}}
{{- with .Values.namespaceRestriction.lease -}}
{{- with .duration -}}{{- $args = append $args (printf "--namespace-scope-lease-duration=%s" .) -}}{{- end -}}
{{- with .renewInterval -}}{{- $args = append $args (printf "--namespace-scope-lease-renew-interval=%s" .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $args = append $args (printf "--operator-version=%s" .Chart.AppVersion) -}}
{{- toYaml $args -}}
{{- end -}}
