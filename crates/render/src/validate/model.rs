//! Rules of a DynamoModel (`operator-process.md` section 7).
//! Which endpoints serve it is no question here.

use dynamo_api::v1alpha1::DynamoModel;

use super::{Rule, Verdict};

const SCHEMES: [&str; 2] = ["s3://", "hf://"];

pub(super) fn judge(model: &DynamoModel, verdict: &mut Verdict) {
    let spec = &model.spec;
    if spec.model_name.is_empty() {
        let words = "is required: the name that clients ask for";
        verdict.missing(Rule::ModelNameMissing, "spec.modelName", words);
    }
    if spec.base_model_name.is_empty() {
        let words = "is required: the modelRef.name of the services that serve it";
        verdict.missing(Rule::BaseModelNameMissing, "spec.baseModelName", words);
    }
    if !spec.model_type.is_lora() {
        return;
    }
    let field = "spec.source.uri";
    match &spec.source {
        None => {
            let words = "is required when modelType is 'lora': give spec.source.uri";
            verdict.missing(Rule::LoraSourceMissing, "spec.source", words);
        }
        Some(source) if source.uri.is_empty() => {
            verdict.missing(Rule::LoraUriMissing, field, "must be specified when modelType is 'lora'");
        }
        Some(source) if !SCHEMES.iter().any(|scheme| source.uri.starts_with(scheme)) => {
            let uri = &source.uri;
            let text = format!("{field}: source URI must start with 's3://' or 'hf://', got: {uri}");
            verdict.say(Rule::LoraUriScheme, field, Some(uri.clone()), text);
        }
        Some(_) => {}
    }
}

pub(super) fn judge_change(new: &DynamoModel, old: &DynamoModel, verdict: &mut Verdict) {
    let (new, old) = (&new.spec, &old.spec);
    if new.model_type != old.model_type {
        let words = format!("is immutable: it was {} and would be {}", old.model_type, new.model_type);
        verdict.missing(Rule::ModelTypeImmutable, "spec.modelType", &words);
        let warning = "Changing spec.modelType may cause unexpected behavior";
        verdict.warn(Rule::ModelTypeImmutable, "spec.modelType", warning.to_owned());
    }
    if new.base_model_name != old.base_model_name {
        let words =
            format!("is immutable: it was {:?} and would be {:?}", old.base_model_name, new.base_model_name);
        verdict.missing(Rule::BaseModelNameImmutable, "spec.baseModelName", &words);
        let warning = "Changing spec.baseModelName will break endpoint discovery";
        verdict.warn(Rule::BaseModelNameImmutable, "spec.baseModelName", warning.to_owned());
    }
}
