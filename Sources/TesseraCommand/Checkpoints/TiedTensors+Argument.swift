public import ArgumentParser
public import TesseraRules

extension TiedTensors: ExpressibleByArgument {}
