public import ArgumentParser
public import TesseraDatasets

extension DatasetFormat: ExpressibleByArgument {
  /// What the files of each layout are, for the help.
  public static var allValueDescriptions: [String: String] {
    Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0.entry.summary) })
  }
}
