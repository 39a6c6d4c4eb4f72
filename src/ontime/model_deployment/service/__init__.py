"""The champion as a service over the Open Inference Protocol and TensorFlow Serving's REST form."""
