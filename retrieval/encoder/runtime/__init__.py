"""Run the model on torch or OpenVINO."""
