public import TesseraCore

extension ElementType {
  /// Whether `cast` reads this type: float64, float32, float16, bfloat16 and two 8-bit floats.
  public var isCastable: Bool { isCastTarget || self == .float8E4M3 || self == .float8E5M2 }

  /// Whether float32 values can be rounded to it.
  package var isMergeable: Bool { [.float16, .bfloat16, .float32].contains(self) }

  /// Whether `cast` writes this type.
  public var isCastTarget: Bool { ElementType.castTargets.contains(self) }

  /// The types that `cast` writes, widest first.
  public static let castTargets: [ElementType] = [.float64, .float32, .float16, .bfloat16]

  /// Whether every value of this type is one of the other's.
  public func isExact(in other: ElementType) -> Bool {
    if self == other { return true }
    switch self {
    case .float8E4M3, .float8E5M2: return other.isCastTarget
    case .float16, .bfloat16: return other == .float32 || other == .float64
    case .float32: return other == .float64
    default: return false
    }
  }
}
