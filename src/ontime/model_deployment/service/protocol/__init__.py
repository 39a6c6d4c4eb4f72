"""Inference requests and responses: the Open Inference Protocol version 2 and TensorFlow Serving's version 1."""
