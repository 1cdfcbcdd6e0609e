"""From a CT volume to the input of Merlin and of Astra."""
