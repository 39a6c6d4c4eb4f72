"""The champion as files: ONNX graph, manifest, golden records, model card; and as a SavedModel."""
