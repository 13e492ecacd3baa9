public import ArgumentParser
public import TesseraImages

extension OrientationRule: ExpressibleByArgument {}
