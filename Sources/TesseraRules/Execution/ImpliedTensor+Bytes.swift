import Foundation
import TesseraCore

extension ImpliedTensor.Value {
  /// The little-endian bytes of one element.
  func bytes(as type: ElementType) -> [UInt8] {
    let zero = [UInt8](repeating: 0, count: max(type.bitWidth / 8, 1))
    guard self == .one else { return zero }
    switch type {
    case .float64: return Self.bytes(of: (1.0 as Double).bitPattern)
    case .float32: return Self.bytes(of: (1.0 as Float).bitPattern)
    case .float16: return Self.bytes(of: 0x3C00 as UInt16)
    case .bfloat16: return Self.bytes(of: 0x3F80 as UInt16)
    default: return [1] + zero.dropFirst()
    }
  }

  private static func bytes(of bits: some FixedWidthInteger) -> [UInt8] {
    (0..<bits.bitWidth / 8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
  }
}
