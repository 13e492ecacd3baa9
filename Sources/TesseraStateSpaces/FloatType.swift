package import TesseraCore

/// The precision of an output.
package enum FloatType: String, CaseIterable, Encodable, Sendable {
  case float64, float32

  /// The element type of this name.
  package var elementType: ElementType { self == .float64 ? .float64 : .float32 }
}
