mod support;
use serde_json::{Value, json};
fn run(label: &str, service: Value, meta: Value, spec: Value, show: &str) {
    let mut m = json!({"apiVersion":"nvidia.com/v1alpha1","kind":"DynamoGraphDeployment","metadata":{"name":"chat","namespace":"demo"},"spec":{"services":{"Part":{"extraPodSpec":{"mainContainer":{"image":"i"}}}}}});
    fn merge(a:&mut Value,b:Value){ match (a,b){(Value::Object(a),Value::Object(b))=>for(k,v) in b{merge(a.entry(k).or_insert(Value::Null),v)},(a,b)=>*a=b}}
    merge(&mut m["spec"]["services"]["Part"], service); merge(&mut m["metadata"], meta); merge(&mut m["spec"], spec);
    let dgd = match serde_json::from_value(m){Ok(d)=>d,Err(e)=>{println!("{label}: DECODE {e}");return}};
    match support::render(&dgd,&support::platform()) {
        Err(e)=>println!("{label}: ERR {e}"),
        Ok(r)=>{ for o in r.objects(){ if o["kind"]=="Deployment"||(show.starts_with("/S")&&o["kind"]=="Service"){ println!("{label}: {} {}",o["kind"],o.pointer(show.trim_start_matches("/S")).unwrap_or(&Value::Null)); } } }
    }
}
#[test]
fn attack(){
    let n=||json!({});
    let c="/spec/template/spec/containers";
    run("type label", json!({"componentType":"my type!"}), n(),n(),"/spec/template/metadata/labels");
    run("subtype label", json!({"subComponentType":"a b"}), n(),n(),"/spec/template/metadata/labels");
    run("pod label", json!({"extraPodMetadata":{"labels":{"bad key!":"bad value!"}}}), n(),n(),"/spec/template/metadata/labels");
    run("selector override", json!({"extraPodMetadata":{"labels":{"nvidia.com/selector":"other"}}}), n(),n(),"/spec/template/metadata/labels");
    run("annotation key", json!({"annotations":{"bad key!":"x"}}), n(),n(),"/metadata/annotations");
    run("model empty", json!({"modelRef":{"name":""}}), n(),n(),"/metadata");
    run("model null", json!({"modelRef":{}}), n(),n(),"/metadata");
    run("claim name", json!({"volumeMounts":[{"name":"My Claim.x","mountPoint":"/m"}]}), n(),n(),"/spec/template/spec/volumes");
    run("claims same path", json!({"volumeMounts":[{"name":"a","mountPoint":"/m"},{"name":"b","mountPoint":"/m"}]}), n(),n(),c);
    run("mount path slash", json!({"volumeMounts":[{"name":"a","mountPoint":"/dev/shm/"}]}), n(),n(),c);
    run("mount path colon", json!({"volumeMounts":[{"name":"a","mountPoint":"/a:b"}]}), n(),n(),c);
    run("claim called shared-memory", json!({"volumeMounts":[{"name":"shared-memory","mountPoint":"/m"}]}), n(),n(),"/spec/template/spec");
    run("claim name equals user volume", json!({"volumeMounts":[{"name":"v","mountPoint":"/m"}],"extraPodSpec":{"volumes":[{"name":"v","emptyDir":{}}]}}), n(),n(),"/spec/template/spec/volumes");
    run("shm at /dev/shm claim", json!({"volumeMounts":[{"name":"a","mountPoint":"/dev/shm"}]}), n(),n(),"/spec/template/spec");
    run("dup volumes", json!({"extraPodSpec":{"volumes":[{"name":"v","emptyDir":{}},{"name":"v","emptyDir":{}}]}}), n(),n(),"/spec/template/spec/volumes");
    run("sidecar main", json!({"extraPodSpec":{"containers":[{"name":"main","image":"x"}]}}), n(),n(),c);
    run("main name", json!({"extraPodSpec":{"mainContainer":{"name":"Bad Name"}}}), n(),n(),c);
    run("neg quantity", json!({"resources":{"limits":{"cpu":"-1","gpu":"0.5"},"requests":{"cpu":"4"}}}), n(),n(),c);
    run("exp quantity", json!({"resources":{"limits":{"cpu":"1e3.5"}}}), n(),n(),c);
    run("custom name", json!({"resources":{"limits":{"custom":{"bad name":"1"}}}}), n(),n(),c);
    run("custom native", json!({"resources":{"requests":{"custom":{"rdma/ib":"1"}}}}), n(),n(),c);
    run("zero gpu", json!({"resources":{"limits":{"gpu":"0"}}}), n(),n(),c);
    run("empty quantity", json!({"resources":{"limits":{"custom":{"a/b":""}}}}), n(),n(),c);
    run("shm neg", json!({"sharedMemory":{"size":"-1Gi"}}), n(),n(),"/spec/template/spec/volumes");
    run("shm zero", json!({"sharedMemory":{"size":"0"}}), n(),n(),"/spec/template/spec/volumes");
    run("surge", json!({"annotations":{"nvidia.com/deployment-rolling-update-max-surge":"lots","nvidia.com/deployment-rolling-update-max-unavailable":"-1"}}), n(),n(),"/spec/strategy");
    run("surge zero", json!({"annotations":{"nvidia.com/deployment-rolling-update-max-surge":"0","nvidia.com/deployment-rolling-update-max-unavailable":"0"}}), n(),n(),"/spec/strategy");
    run("surge plus", json!({"annotations":{"nvidia.com/deployment-rolling-update-max-surge":"+1","nvidia.com/deployment-rolling-update-max-unavailable":"1.5%"}}), n(),n(),"/spec/strategy");
    run("probe none", json!({"livenessProbe":{"periodSeconds":3}}), n(),n(),c);
    run("startup none", json!({"extraPodSpec":{"mainContainer":{"startupProbe":{"periodSeconds":3}}}}), n(),n(),c);
    run("plain partial probe", json!({"extraPodSpec":{"mainContainer":{"livenessProbe":{"periodSeconds":3}}}}), n(),n(),c);
    run("liveness success", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"livenessProbe":{"successThreshold":3}}}}), n(),n(),c);
    run("worker timings on new handler", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"ports":[{"containerPort":1}]}}}), n(),n(),c);
    run("restartPolicy", json!({"extraPodSpec":{"restartPolicy":"Never"}}), n(),n(),"/spec/template/spec/restartPolicy");
    run("grace neg", json!({"extraPodSpec":{"terminationGracePeriodSeconds":-5}}), n(),n(),"/spec/template/spec/terminationGracePeriodSeconds");
    run("env name", json!({"envs":[{"name":"","value":"x"},{"name":"a=b","value":"x"}]}), n(),n(),c);
    run("env both", json!({"envs":[{"name":"A","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}), n(),n(),c);
    run("secret name", json!({"envFromSecret":"Bad Secret"}), n(),n(),c);
    run("account name", json!({"extraPodSpec":{"serviceAccountName":"Bad Name"}}), n(),n(),"/spec/template/spec/serviceAccountName");
    run("svc discovery only", json!({"annotations":{"nvidia.com/dynamo-discovery-backend":"kubernetes"}}), json!({"annotations":{"nvidia.com/dynamo-discovery-backend":"etcd"}}),n(),"/spec/template/spec/serviceAccountName");
    run("svc etcd graph k8s", json!({"annotations":{"nvidia.com/dynamo-discovery-backend":"etcd"}}), n(),n(),"/spec/template/spec/serviceAccountName");
    run("discovery empty", n(), json!({"annotations":{"nvidia.com/dynamo-discovery-backend":""}}),n(),"/S/metadata/labels");
    run("epp without config", json!({"componentType":"epp"}), n(),n(),"/spec/template/spec/serviceAccountName");
    run("image spaces", json!({"extraPodSpec":{"mainContainer":{"image":" "}}}), n(),n(),c);
    run("model flag detect", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"command":["python3","serve.py","--model","dynamo.vllm"]}}}), n(),json!({"backendFramework":"sglang"}),"/kind");
    run("python after module", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"command":["python3","-m","x","dynamo.vllm"]}}}), n(),json!({"backendFramework":"sglang"}),"/kind");
    run("env -m python", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"command":["python3"],"args":["-m","dynamo.vllm.worker"]}}}), n(),json!({"backendFramework":"sglang"}),"/kind");
    run("second cache explicit", json!({"componentType":"worker","volumeMounts":[{"name":"a","useAsCompilationCache":true},{"name":"b","mountPoint":"/b","useAsCompilationCache":true}]}), n(),json!({"backendFramework":"vllm"}),c);
    run("readiness merge int port", json!({"componentType":"frontend","extraPodSpec":{"mainContainer":{"ports":[{"name":"web","containerPort":9000}],"readinessProbe":{"httpGet":{"path":"/h","port":9000}}}}}), n(),n(),c);
    run("merge tcp", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"livenessProbe":{"tcpSocket":{"port":1}}}}}), n(),n(),c);
    run("zero in new handler", json!({"componentType":"worker","extraPodSpec":{"mainContainer":{"lifecycle":{"preStop":{"httpGet":{"port":80,"path":"/x"}}}}}}), n(),n(),c);
    run("replicas huge", json!({"replicas":99999999999i64}), n(),n(),"/spec/replicas");
    run("services null", n(), n(), json!({"services":{"Other":null}}),"/kind");
    run("pvc bad", n(), n(), json!({"pvcs":[{"name":""},{"name":"x","create":true}]}),"/kind");
    run("restart order", n(), n(), json!({"restart":{"id":"1","strategy":{"order":["nope"]}}}),"/kind");
    run("nodeport label ns", n(), json!({"namespace":"a".repeat(60)}), n(),"/kind");
    run("global ns long", json!({"globalDynamoNamespace":true}), json!({"namespace":"a".repeat(63)}), n(),"/kind");
    run("no namespace global", json!({"globalDynamoNamespace":true}), json!({"namespace":null}), n(),"/metadata");
    run("name digit", n(), json!({"name":"1chat"}), n(),"/kind");
    run("name dot", n(), json!({"name":"ch.at"}), n(),"/kind");
    run("restartAt forged", json!({"annotations":{"nvidia.com/restartAt":"x"}}), n(), n(),"/spec/template/metadata/annotations");
    run("dup claims resource", json!({"resources":{"claims":[{"name":"a"},{"name":"a"}]}}), n(), n(),c);
    run("dup ports", json!({"componentType":"planner","extraPodSpec":{"mainContainer":{"ports":[{"containerPort":0}]}}}), n(), n(),c);
    run("init env dup", json!({"extraPodSpec":{"initContainers":[{"name":"i","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}}), n(), n(),"/spec/template/spec/initContainers");
    run("host network zero", json!({"extraPodSpec":{"hostNetwork":true,"dnsPolicy":"","shareProcessNamespace":false,"priority":0,"enableServiceLinks":false}}), n(), n(),"/spec/template/spec");
    run("ingress default host", json!({"componentType":"frontend","ingress":{"enabled":true,"host":"bad host!"}}), n(), n(),"/kind");
    // deep nesting
    let mut deep=json!({"mainContainer":{"image":"i"}}); deep["affinity"]=json!({"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}});
    run("affinity empty", json!({"extraPodSpec":deep}), n(), n(),"/spec/template/spec/affinity");
}
