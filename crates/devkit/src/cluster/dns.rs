//! The cluster's DNS server: its image and its objects.
//! Must give it only the rights it needs.

use super::layout::DNS_SERVICE;
use crate::images::oci::{Entry, Image, Layer};
use crate::tools::Tools;

/// Name of the DNS server's image without tag.
pub const IMAGE: &str = "localhost/dynamo-coredns";

/// The image: one static program.
pub fn image(tools: &Tools) -> Image {
    let program = Entry::File { source: tools.program("coredns"), mode: 0o755 };
    Image {
        repository: IMAGE.into(),
        layers: vec![Layer::from([("coredns".to_owned(), program)])],
        entrypoint: vec!["/coredns".into()],
        user: "0:0".into(),
        env: Vec::new(),
        working_folder: "/".into(),
    }
}

/// The objects, as YAML documents. Names outside the cluster are refused at once, since pods could not reach them.
pub fn objects(image: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: coredns, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: "dynamo-dev:coredns"}}
rules:
- {{apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: "dynamo-dev:coredns"}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "dynamo-dev:coredns"}}
subjects:
- {{kind: ServiceAccount, name: coredns, namespace: kube-system}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data:
  Corefile: |
    .:53 {{
      errors
      health
      ready
      kubernetes cluster.local in-addr.arpa {{
        pods insecure
      }}
      cache 5
      reload
    }}
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {{k8s-app: kube-dns}}
spec:
  clusterIP: {DNS_SERVICE}
  selector: {{k8s-app: kube-dns}}
  ports:
  - {{name: dns, port: 53, protocol: UDP}}
  - {{name: dns-tcp, port: 53, protocol: TCP}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: coredns, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{k8s-app: kube-dns}}}}
  template:
    metadata: {{labels: {{k8s-app: kube-dns}}}}
    spec:
      serviceAccountName: coredns
      dnsPolicy: Default
      priorityClassName: system-cluster-critical
      containers:
      - name: coredns
        image: {image}
        imagePullPolicy: Never
        args: ["-conf", "/etc/coredns/Corefile"]
        resources: {{requests: {{cpu: 10m, memory: 32Mi}}}}
        readinessProbe: {{httpGet: {{path: /ready, port: 8181}}, periodSeconds: 1}}
        volumeMounts: [{{name: config, mountPath: /etc/coredns}}]
      volumes: [{{name: config, configMap: {{name: coredns}}}}]
"#
    )
}
