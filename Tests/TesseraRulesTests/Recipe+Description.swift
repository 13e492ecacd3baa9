import TesseraRules
import Testing

extension Recipe: CustomTestStringConvertible {
  /// The name alone: the rules would fill a screen for each test case.
  public var testDescription: String { name }
}
