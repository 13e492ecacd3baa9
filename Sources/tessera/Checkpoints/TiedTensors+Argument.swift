public import ArgumentParser
public import Conversion

extension TiedTensors: ExpressibleByArgument {}
