import ArgumentParser
public import TesseraCore

extension InstructionSet: ExpressibleByArgument {}
