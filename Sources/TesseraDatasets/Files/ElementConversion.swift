package import TesseraCore

/// Changing the type of numbers without changing one: what does not fit is an error, never a wrap.
package enum ElementConversion {
  /// The first number that the wanted type cannot hold.
  package struct Misfit: Error, Hashable {
    /// The number as text.
    package let value: String
    /// The type that cannot hold it.
    package let type: ElementType
  }

  /// The integer types by width and sign, and the floats that are changed exactly.
  ///
  /// - Parameters:
  ///   - bytes: Little-endian elements of `source`.
  ///   - source: Their type.
  ///   - target: The type wanted.
  /// - Returns: The elements in the type wanted.
  /// - Throws: ``Misfit`` where a number does not fit, or where the types are of other kinds.
  package static func convert(
    _ bytes: [UInt8],
    from source: ElementType,
    to target: ElementType
  ) throws(Misfit) -> [UInt8] {
    if source == target { return bytes }
    return switch source {
    case .uint8, .bool: try widen(bytes, UInt8.self, to: target)
    case .int8: try widen(bytes, Int8.self, to: target)
    case .uint16: try widen(bytes, UInt16.self, to: target)
    case .int16: try widen(bytes, Int16.self, to: target)
    case .uint32: try widen(bytes, UInt32.self, to: target)
    case .int32: try widen(bytes, Int32.self, to: target)
    case .uint64: try widen(bytes, UInt64.self, to: target)
    case .int64: try widen(bytes, Int64.self, to: target)
    case .float32 where target == .float64: widenFloats(bytes)
    case .float64 where target == .float32: try narrowFloats(bytes)
    default: throw Misfit(value: "a \(source.rawValue)", type: target)
    }
  }

  /// The elements of an integer column as `Int`.
  ///
  /// - Throws: ``Misfit`` for a number beyond `Int` and for floats.
  package static func integers(
    _ bytes: [UInt8],
    of type: ElementType
  ) throws(Misfit) -> [Int64] {
    DatasetCell(shape: [], bytes: try convert(bytes, from: type, to: .int64)).elements()
  }

  private static func widen<Source: FixedWidthInteger>(
    _ bytes: [UInt8],
    _: Source.Type,
    to target: ElementType
  ) throws(Misfit) -> [UInt8] {
    switch target {
    case .uint8: try cast(bytes, Source.self, UInt8.self, target)
    case .int8: try cast(bytes, Source.self, Int8.self, target)
    case .uint16: try cast(bytes, Source.self, UInt16.self, target)
    case .int16: try cast(bytes, Source.self, Int16.self, target)
    case .uint32: try cast(bytes, Source.self, UInt32.self, target)
    case .int32: try cast(bytes, Source.self, Int32.self, target)
    case .uint64: try cast(bytes, Source.self, UInt64.self, target)
    case .int64: try cast(bytes, Source.self, Int64.self, target)
    case .bool where Source.bitWidth == 8: bytes
    default: throw Misfit(value: "an integer", type: target)
    }
  }

  private static func cast<Source: FixedWidthInteger, Target: FixedWidthInteger>(
    _ bytes: [UInt8],
    _: Source.Type,
    _: Target.Type,
    _ target: ElementType
  ) throws(Misfit) -> [UInt8] {
    let (from, to) = (Source.bitWidth / 8, Target.bitWidth / 8)
    let count = bytes.count / from
    var misfits = false
    let result = unsafe [UInt8](unsafeUninitializedCapacity: count * to) { output, initialized in
      let output = UnsafeMutableRawBufferPointer(output)
      unsafe bytes.withUnsafeBytes { input in
        // No branch, so that the compiler makes vectors of it; which one misfits is found later.
        for index in 0..<count {
          let value = unsafe input.loadUnaligned(fromByteOffset: index * from, as: Source.self)
          let cast = Target(truncatingIfNeeded: value)
          let isSame = Source(truncatingIfNeeded: cast) == value && (cast < 0) == (value < 0)
          misfits = misfits || !isSame
          unsafe output.storeBytes(of: cast, toByteOffset: index * to, as: Target.self)
        }
      }
      initialized = count * to
    }
    if misfits { throw misfit(bytes, Source.self, Target.self, target) }
    return result
  }

  private static func misfit<Source: FixedWidthInteger, Target: FixedWidthInteger>(
    _ bytes: [UInt8],
    _: Source.Type,
    _: Target.Type,
    _ target: ElementType
  ) -> Misfit {
    let width = Source.bitWidth / 8
    for start in stride(from: 0, to: bytes.count, by: width) {
      let value = unsafe bytes.withUnsafeBytes { input in
        unsafe input.loadUnaligned(fromByteOffset: start, as: Source.self)
      }
      if Target(exactly: value) == nil { return Misfit(value: "\(value)", type: target) }
    }
    return Misfit(value: "a number", type: target)
  }

  private static func widenFloats(_ bytes: [UInt8]) -> [UInt8] {
    let values = DatasetCell(shape: [], bytes: bytes).elements(as: Float.self).map(Double.init)
    return unsafe values.withUnsafeBytes { unsafe Array($0) }
  }

  /// Only numbers that come back the same are narrowed.
  private static func narrowFloats(_ bytes: [UInt8]) throws(Misfit) -> [UInt8] {
    let values = DatasetCell(shape: [], bytes: bytes).elements(as: Double.self)
    let floats = values.map(Float.init)
    if let lost = zip(values, floats).first(where: { Double($1) != $0 && !$0.isNaN }) {
      throw Misfit(value: "\(lost.0)", type: .float32)
    }
    return unsafe floats.withUnsafeBytes { unsafe Array($0) }
  }
}
