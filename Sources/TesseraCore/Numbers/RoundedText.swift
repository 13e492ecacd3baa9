import Foundation

extension Double {
  /// The number as text with a fixed number of decimal places.
  package func rounded(places: Int) -> String { String(format: "%.\(places)f", self) }
}
