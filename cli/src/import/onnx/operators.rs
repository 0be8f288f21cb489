//! tract's ONNX operators, with ours in place of those it lacks or gets wrong.

mod batch_normalization;
mod branch;
mod cast;
mod elementwise;
mod flatten;
mod imputer;
mod label_encoder;
mod linear;
mod one_hot;
mod quantization;
mod range;
mod select;
mod tree_attributes;
mod tree_ensemble;
mod wire;

use tract_onnx::Onnx;

/// tract's ONNX importer with our operators registered.
pub(super) fn framework() -> Onnx {
    let mut framework = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    let register = &mut framework.op_register;
    register.insert("ArrayFeatureExtractor", select::array_feature_extractor);
    register.insert("BatchNormalization", batch_normalization::batch_normalization);
    register.insert("Binarizer", elementwise::binarizer);
    register.insert("Cast", cast::cast);
    register.insert("DequantizeLinear", quantization::dequantize);
    register.insert("FeatureVectorizer", select::feature_vectorizer);
    register.insert("Flatten", flatten::flatten);
    register.insert("If", branch::branch);
    register.insert("Imputer", imputer::imputer);
    register.insert("LabelEncoder", label_encoder::label_encoder);
    register.insert("LinearClassifier", linear::classifier);
    register.insert("LinearRegressor", linear::regressor);
    register.insert("Normalizer", elementwise::normalizer);
    register.insert("OneHotEncoder", one_hot::one_hot_encoder);
    register.insert("QuantizeLinear", quantization::quantize);
    register.insert("Range", range::range);
    register.insert("Scaler", elementwise::scaler);
    register.insert("TreeEnsembleClassifier", tree_ensemble::classifier);
    register.insert("TreeEnsembleRegressor", tree_ensemble::regressor);
    framework
}
