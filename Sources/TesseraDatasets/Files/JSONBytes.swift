package import TesseraCore

/// JSON values of cells, written and read without a tree between.
package enum JSONBytes {
  /// Whether numbers of a type have a JSON form here.
  package static func holds(_ type: ElementType) -> Bool {
    switch type {
    case .bool, .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: true
    case .float32, .float64: true
    default: false
    }
  }

  /// Appends UTF-8 text in quotes, with as few escapes as JSON allows.
  package static func appendQuoted(_ text: [UInt8], to line: inout [UInt8]) {
    line.append(UInt8(ascii: "\""))
    if text.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
      line += text
    } else {
      for byte in text { appendEscaped(byte, to: &line) }
    }
    line.append(UInt8(ascii: "\""))
  }

  private static func appendEscaped(_ byte: UInt8, to line: inout [UInt8]) {
    switch byte {
    case UInt8(ascii: "\""): line += "\\\"".utf8
    case UInt8(ascii: "\\"): line += "\\\\".utf8
    case 0x08: line += "\\b".utf8
    case 0x09: line += "\\t".utf8
    case 0x0A: line += "\\n".utf8
    case 0x0C: line += "\\f".utf8
    case 0x0D: line += "\\r".utf8
    case 0..<0x20:
      let digits = Array("0123456789abcdef".utf8)
      line += "\\u00".utf8
      line += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    default: line.append(byte)
    }
  }

  /// Appends a cell: a string, a raw value, a number, or lists of numbers as deep as its axes.
  package static func append(_ cell: DatasetCell, of type: ColumnType, to line: inout [UInt8]) {
    switch type {
    case .text: appendQuoted(cell.bytes, to: &line)
    case .json: line += cell.bytes
    case .array(let element):
      var next = 0
      appendList(cell, of: element, axis: 0, next: &next, to: &line)
    }
  }

  private static func appendList(
    _ cell: DatasetCell,
    of type: ElementType,
    axis: Int,
    next: inout Int,
    to line: inout [UInt8]
  ) {
    guard axis < cell.shape.rank else {
      append(cell, from: next, count: 1, of: type, to: &line)
      next += 1
      return
    }
    line.append(UInt8(ascii: "["))
    let extent = cell.shape[axis]
    if axis == cell.shape.rank - 1 {
      append(cell, from: next, count: extent, of: type, to: &line)
      next += extent
    } else {
      for index in 0..<extent {
        if index > 0 { line.append(UInt8(ascii: ",")) }
        appendList(cell, of: type, axis: axis + 1, next: &next, to: &line)
      }
    }
    line.append(UInt8(ascii: "]"))
  }

  private static func append(
    _ cell: DatasetCell,
    from start: Int,
    count: Int,
    of type: ElementType,
    to line: inout [UInt8]
  ) {
    let width = type.bitWidth / 8
    let bytes = cell.bytes[start * width..<(start + count) * width]
    switch type {
    case .bool, .uint8: append(bytes, UInt8.self, to: &line)
    case .int8: append(bytes, Int8.self, to: &line)
    case .uint16: append(bytes, UInt16.self, to: &line)
    case .int16: append(bytes, Int16.self, to: &line)
    case .uint32: append(bytes, UInt32.self, to: &line)
    case .int32: append(bytes, Int32.self, to: &line)
    case .uint64: append(bytes, UInt64.self, to: &line)
    case .int64: append(bytes, Int64.self, to: &line)
    case .float32: append(bytes, of: Float.self, to: &line)
    case .float64: append(bytes, of: Double.self, to: &line)
    default: preconditionFailure("whoever writes JSON asks holds(_:) first")
    }
  }

  private static func append<Value: FixedWidthInteger>(
    _ bytes: ArraySlice<UInt8>,
    _: Value.Type,
    to line: inout [UInt8]
  ) {
    let width = Value.bitWidth / 8
    let count = bytes.count / width
    // The digits, a sign and a comma at most.
    let longest = Value.bitWidth / 3 + 3
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count * longest) { text in
      var first = text.count
      func put(_ byte: UInt8) {
        first -= 1
        unsafe text[first] = byte
      }
      unsafe bytes.withUnsafeBytes { bytes in
        // From the last digit to the first, as division yields them.
        for index in (0..<count).reversed() {
          let value = unsafe bytes.loadUnaligned(fromByteOffset: index * width, as: Value.self)
          var rest = value.magnitude
          repeat {
            put(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
          } while rest > 0
          if value < 0 { put(UInt8(ascii: "-")) }
          if index > 0 { put(UInt8(ascii: ",")) }
        }
      }
      unsafe line.append(contentsOf: UnsafeBufferPointer(rebasing: text[first...]))
    }
  }

  private static func append<Value: BinaryFloatingPoint & LosslessStringConvertible>(
    _ bytes: ArraySlice<UInt8>,
    of: Value.Type,
    to line: inout [UInt8]
  ) {
    unsafe bytes.withUnsafeBytes { bytes in
      for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<Value>.size) {
        if offset > 0 { line.append(UInt8(ascii: ",")) }
        let value = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Value.self)
        // JSON has no infinities; Python's reader takes these words.
        line +=
          value.isFinite
          ? Array("\(value)".utf8)
          : Array((value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity").utf8)
      }
    }
  }
}

extension JSONBytes {
  /// Reads lists of numbers as deep as `shape`, all of equal lengths at each depth.
  static func array(
    from scanner: inout JSONScanner,
    of type: ElementType,
    shape: [Int?]
  ) throws -> DatasetCell {
    var extents = shape
    var bytes: [UInt8] = []
    try read(&scanner, axis: 0, of: type, extents: &extents, into: &bytes)
    // Behind an empty list nothing says how long the inner ones would be.
    return DatasetCell(shape: Shape(extents.map { $0 ?? 0 }), bytes: bytes)
  }

  private static func read(
    _ scanner: inout JSONScanner,
    axis: Int,
    of type: ElementType,
    extents: inout [Int?],
    into bytes: inout [UInt8]
  ) throws {
    guard axis < extents.count else {
      return try readNumber(&scanner, of: type, into: &bytes)
    }
    var count = 0
    var inner = extents
    try scanner.array { scanner in
      try read(&scanner, axis: axis + 1, of: type, extents: &inner, into: &bytes)
      count += 1
    }
    extents = inner
    guard extents[axis] == nil || extents[axis] == count else {
      throw scanner.failure("a list of \(count) where the others have \(extents[axis] ?? 0)")
    }
    extents[axis] = count
  }

  private static func readNumber(
    _ scanner: inout JSONScanner,
    of type: ElementType,
    into bytes: inout [UInt8]
  ) throws {
    switch type {
    case .float32:
      let value = try float(&scanner, Float.self)
      unsafe withUnsafeBytes(of: value) { unsafe bytes.append(contentsOf: $0) }
    case .float64:
      let value = try float(&scanner, Double.self)
      unsafe withUnsafeBytes(of: value) { unsafe bytes.append(contentsOf: $0) }
    default:
      let value = Int64(try scanner.integer())
      let wide = unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
      do {
        bytes += try ElementConversion.convert(wide, from: .int64, to: type)
      } catch {
        throw scanner.failure("\(error.value) is no \(type.rawValue)")
      }
    }
  }

  private static func float<Value: LosslessStringConvertible>(
    _ scanner: inout JSONScanner,
    _: Value.Type
  ) throws -> Value {
    guard let value = Value(try scanner.literal()) else { throw scanner.failure("no number") }
    return value
  }
}
