"""Commands run on other processors than this machine's: other answers to CPUID, other results of instructions."""
