"""From artefacts and recordings to policies and models; nothing here runs while the arm moves."""
