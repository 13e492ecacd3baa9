import TesseraCore

/// A tensor of an ONNX file: what `TensorProto` says, with its data where they are.
struct ONNXTensor {
  private(set) var name = ""
  private var dimensions: [Int] = []
  private var type = 0
  private var rawData: Range<Int>?
  /// The places of numbers in the fields of a type of their own, by field.
  private var numbers: [Int: [WireFields.Value]] = [:]
  private var externalData: [String: String] = [:]
  private var isExternal = false

  private let region: FileRegion

  /// The types by their numbers in `TensorProto.DataType`.
  private static let types: [Int: ElementType] = [
    1: .float32, 2: .uint8, 3: .int8, 4: .uint16, 5: .int16, 6: .int32, 7: .int64, 9: .bool,
    10: .float16, 11: .float64, 12: .uint32, 13: .uint64, 14: .complex64, 15: .complex128,
    16: .bfloat16, 17: .float8E4M3, 18: .float8E4M3FNUZ, 19: .float8E5M2, 20: .float8E5M2FNUZ,
    23: .float4, 24: .float8E8M0,
  ]
  private static let otherTypes = [
    21: "UINT4", 22: "INT4", 25: "UINT2", 26: "INT2",
  ]

  /// Reads the message in a range.
  init(_ region: FileRegion, _ range: Range<Int>) throws {
    self.region = region
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .number(let extent)): try add(extent: extent)
      case (1, .bytes(let packed)): try addExtents(in: packed)
      case (2, .number(let number)): type = Int(truncatingIfNeeded: number)
      case (3, _): throw refusal("is in segments, which ONNX no longer has")
      case (4...7, _), (10...11, _): numbers[field, default: []].append(value)
      case (8, .bytes(let text)): name = try ONNXTensor.text(region, text)
      case (9, .bytes(let data)): rawData = data
      case (13, .bytes(let entry)): try addExternal(entry)
      case (14, .number(let place)): isExternal = place == 1
      case (12, _), (15..., _): break
      default: throw refusal("field \(field) has the wrong kind of value")
      }
    }
  }

  private func refusal(_ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: region.name, place: name)
  }

  static func text(_ region: FileRegion, _ range: Range<Int>) throws -> String {
    var input = ByteInput(region: region, from: range.lowerBound, what: "protobuf")
    guard range.count <= 1 << 16 else { throw input.refusal("a text of \(range.count) bytes") }
    return try input.text(range.count)
  }

  private mutating func add(extent: UInt64) throws {
    guard let number = Int(exactly: extent), dimensions.count < 64 else {
      throw refusal("an extent of \(Int64(bitPattern: extent)), or too many axes")
    }
    dimensions.append(number)
  }

  private mutating func addExtents(in range: Range<Int>) throws {
    var input = ByteInput(
      region: region,
      from: range.lowerBound,
      to: range.upperBound,
      what: "dims"
    )
    while input.remaining > 0 { try add(extent: try input.varint()) }
  }

  private mutating func addExternal(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    var (key, text) = ("", "")
    while let (field, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if field == 1 { key = try ONNXTensor.text(region, bytes) }
      if field == 2 { text = try ONNXTensor.text(region, bytes) }
    }
    externalData[key] = text
  }

  // MARK: Data

  /// What the elements are.
  enum Content {
    case numbers(ElementType)
    /// Texts, which no tensor holds.
    case strings
    /// Numbers of a type that has no place here, or an odd number of halves of bytes.
    case unreadable(String)
  }

  /// What the elements are; an unknown type is an error.
  func content() throws -> Content {
    if type == 8 { return .strings }
    if let known = ONNXTensor.types[type] {
      let count = Shape(dimensions).elementCount
      guard known.bitWidth < 8, let count, known.byteCount(elements: count) == nil else {
        return .numbers(known)
      }
      return .unreadable("\(count) elements of \(known.rawValue) are no whole number of bytes")
    }
    guard let other = ONNXTensor.otherTypes[type] else { throw refusal("the unknown type \(type)") }
    return .unreadable("type \(other) has no place here")
  }

  /// The tensor as it is stored; sizes are checked against the data.
  func stored(as elementType: ElementType) throws -> (stored: StoredTensor, bytes: StorageBytes) {
    let shape = Shape(dimensions)
    guard let count = shape.elementCount, let size = elementType.byteCount(elements: count) else {
      throw refusal("\(shape) of \(elementType.rawValue) overflows or is no whole number of bytes")
    }
    let stored = StoredTensor(elementType: elementType, shape: shape)
    if isExternal || !externalData.isEmpty { return (stored, try external(size: size)) }
    if let rawData {
      guard rawData.count == size else {
        throw refusal("\(shape) of \(elementType.rawValue) is not \(rawData.count) bytes")
      }
      return (stored, .region(region.part(rawData, name: region.name)))
    }
    return (stored, try typedData(elementType, count: count, size: size))
  }

  /// Numbers in a field of their type: in place where they are packed at their own width.
  private func typedData(
    _ type: ElementType,
    count: Int,
    size: Int
  ) throws -> StorageBytes {
    let field =
      switch type {
      case .float32, .complex64: 4
      case .int64: 7
      case .float64, .complex128: 10
      case .uint32, .uint64: 11
      default: 5
      }
    let values = numbers[field] ?? []
    let isFixed = field == 4 || field == 10
    if isFixed, values.count == 1, case .bytes(let packed) = values[0], packed.count == size {
      return .region(region.part(packed, name: region.name))
    }
    let region = region
    let width = max(1, type.bitWidth / 8)
    // A varint of one byte may stand for eight: more than that no field can hold.
    let available = values.reduce(0) { total, value in
      switch value {
      case .number: total + 1
      case .fixed(let range), .bytes(let range): total + range.count
      }
    }
    guard type.bitWidth >= 8 else {
      throw refusal("type \(type.rawValue) is read from raw_data alone; save it so")
    }
    guard count <= available else {
      throw refusal("\(count) elements are claimed; its data hold \(available) at most")
    }
    let tensor = self
    return .packed {
      try FileRegion(temporaryFor: region.name) { append in
        var written = 0
        for value in values {
          let bytes = try tensor.decoded(value, width: width, isFixed: isFixed)
          written += bytes.count
          try append(bytes[...])
        }
        guard written == size else {
          throw tensor.refusal("its data are \(written) bytes and not \(size)")
        }
      }
    }
  }

  private func decoded(_ value: WireFields.Value, width: Int, isFixed: Bool) throws -> [UInt8] {
    func low(_ number: UInt64) -> [UInt8] {
      (0..<width).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    }
    switch value {
    case .number(let number):
      guard !isFixed else { throw refusal("a float that is a varint") }
      return low(number)
    case .fixed(let range): return try region.bytes(range)
    case .bytes(let range) where isFixed: return try region.bytes(range)
    case .bytes(let range):
      var bytes: [UInt8] = []
      var input = ByteInput(
        region: region,
        from: range.lowerBound,
        to: range.upperBound,
        what: "protobuf"
      )
      while input.remaining > 0 { bytes += low(try input.varint()) }
      return bytes
    }
  }

  /// Data in a file of their own, which must lie in the folder of the model.
  private func external(size: Int) throws -> StorageBytes {
    guard let location = externalData["location"] else {
      throw refusal("its data are in another file that is not named")
    }
    let path = try SafePath.path(of: location, beside: region.name) {
      refusal("external data '\(location)' \($0)")
    }
    let start = Int(externalData["offset"] ?? "0") ?? -1
    let length = externalData["length"].map { Int($0) ?? -1 } ?? size
    let cause =
      "external data '\(location)' from \(start) on do not hold \(size) bytes"
      + " or are said to be \(length)"
    let damage = refusal(cause)
    // Open only while it is looked at: a model may have more tensors than files can be open.
    let unpack: @Sendable () throws -> FileRegion = {
      let file = try FileRegion(path: path)
      guard start >= 0, length == size, start <= file.length, size <= file.length - start else {
        throw damage
      }
      return file.part(start..<start + size, name: path)
    }
    _ = try unpack()
    return .packed(unpack)
  }
}
