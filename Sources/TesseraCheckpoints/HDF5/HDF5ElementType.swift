import CHDF5
import TesseraCore

/// What the elements of a dataset are to us.
enum HDF5Elements: Sendable, Hashable {
  /// Numbers with an exact type of ours; `isPlain` where the file holds the very bytes we give out.
  case numbers(ElementType, isPlain: Bool)
  /// Bytes whose meaning the file does not state by the type; tag and width in bytes.
  case opaque(width: Int, tag: String)
  /// No numbers, so no tensor: the reason.
  case withoutMeaning(String)
  /// Numbers that have no exact type of ours: the reason.
  case refused(String)
}

extension HDF5Elements {
  /// Classifies a datatype; inside `HDF5.perform`.
  init(of type: hid_t) {
    let width = H5Tget_size(type)
    switch H5Tget_class(type) {
    case H5T_INTEGER: self = .integer(type, width: width)
    case H5T_FLOAT: self = .float(type, width: width)
    case H5T_BITFIELD: self = .bits(type, width: width)
    case H5T_ENUM: self = .enumeration(type)
    case H5T_COMPOUND: self = .compound(type)
    case H5T_OPAQUE: self = .opaque(width: width, tag: HDF5Elements.tag(of: type))
    case H5T_STRING: self = .withoutMeaning("strings")
    case H5T_REFERENCE: self = .withoutMeaning("references")
    case H5T_TIME: self = .withoutMeaning("times")
    case H5T_VLEN: self = .withoutMeaning("sequences of varying length")
    case H5T_ARRAY: self = .withoutMeaning("arrays as elements")
    default: self = .refused("elements of a class that libhdf5 does not know")
    }
  }

  private static func integer(_ type: hid_t, width: Int) -> HDF5Elements {
    let isSigned = H5Tget_sign(type) == H5T_SGN_2
    guard let (wide, elementType) = integerType(width: width, isSigned: isSigned) else {
      return .refused("integers of \(width) bytes")
    }
    return .numbers(elementType, isPlain: wide == width && isPlain(type, width: width))
  }

  /// The narrowest type of ours that holds an integer of `width` bytes, and its width.
  private static func integerType(width: Int, isSigned: Bool) -> (Int, ElementType)? {
    switch width {
    case 1: (1, isSigned ? .int8 : .uint8)
    case 2: (2, isSigned ? .int16 : .uint16)
    case 3...4: (4, isSigned ? .int32 : .uint32)
    case 5...8: (8, isSigned ? .int64 : .uint64)
    default: nil
    }
  }

  private static func bits(_ type: hid_t, width: Int) -> HDF5Elements {
    guard [1, 2, 4, 8].contains(width),
      let (_, elementType) = integerType(width: width, isSigned: false)
    else { return .refused("bit fields of \(width) bytes") }
    return .numbers(elementType, isPlain: isPlain(type, width: width))
  }

  /// No padding, least significant byte first.
  private static func isPlain(_ type: hid_t, width: Int) -> Bool {
    H5Tget_precision(type) == width * 8 && H5Tget_offset(type) == 0
      && (width == 1 || H5Tget_order(type) == H5T_ORDER_LE)
  }

  private static func float(_ type: hid_t, width: Int) -> HDF5Elements {
    guard let layout = FloatLayout(type) else { return .refused("floats of an unreadable layout") }
    guard let elementType = FloatLayout.known[layout] else {
      let name = width > 8 ? "long double" : "floats"
      return .refused("\(name) of \(width) bytes with \(layout)")
    }
    let order = H5Tget_order(type)
    guard width == 1 || order == H5T_ORDER_LE || order == H5T_ORDER_BE else {
      return .refused("floats in VAX byte order")
    }
    return .numbers(elementType, isPlain: isPlain(type, width: width))
  }

  private static func enumeration(_ type: hid_t) -> HDF5Elements {
    guard let base = HDF5Handle(H5Tget_super(type), closedBy: H5Tclose) else {
      return .refused("an enumeration without a base type")
    }
    let width = H5Tget_size(base.id)
    // A damaged file may give the two different sizes; a member's value has that of the enumeration.
    guard H5Tget_size(type) == width else {
      return .refused("an enumeration of another size than its base type")
    }
    if width == 1, H5Tget_nmembers(type) == 2, value(of: "FALSE", in: type) == 0,
      value(of: "TRUE", in: type) == 1
    {
      return .numbers(.bool, isPlain: true)
    }
    return .integer(base.id, width: width)
  }

  /// The value of a member of an enumeration with one byte a value.
  private static func value(of member: String, in type: hid_t) -> UInt8? {
    var value: UInt8 = 0
    let status = unsafe H5Tenum_valueof(type, member, &value)
    return status >= 0 ? value : nil
  }

  private static func compound(_ type: hid_t) -> HDF5Elements {
    guard let names = complexMembers(of: type) else { return .withoutMeaning("compounds") }
    var parts: [ElementType] = []
    for index in 0..<UInt32(names.count) {
      guard let part = HDF5Handle(H5Tget_member_type(type, index), closedBy: H5Tclose),
        H5Tget_class(part.id) == H5T_FLOAT,
        case .numbers(let elementType, _) = HDF5Elements(of: part.id)
      else { return .withoutMeaning("compounds") }
      parts.append(elementType)
    }
    guard parts[0] == parts[1] else { return .refused("complex numbers of two different floats") }
    switch parts[0] {
    case .float32: return .numbers(.complex64, isPlain: false)
    case .float64: return .numbers(.complex128, isPlain: false)
    default: return .refused("complex numbers of \(parts[0].rawValue)")
    }
  }

  /// The names of the real and the imaginary member, or nil where the compound is something else.
  static func complexMembers(of type: hid_t) -> [String]? {
    guard H5Tget_nmembers(type) == 2 else { return nil }
    var names: [String] = []
    for index in 0..<UInt32(2) {
      guard let name = unsafe H5Tget_member_name(type, index) else { return nil }
      names.append(unsafe String(cString: name))
      unsafe H5free_memory(name)
    }
    let known = [["r", "i"], ["re", "im"], ["real", "imag"]]
    return known.contains(names.map { $0.lowercased() }) ? names : nil
  }

  private static func tag(of type: hid_t) -> String {
    guard let tag = unsafe H5Tget_tag(type) else { return "" }
    defer { unsafe H5free_memory(tag) }
    return unsafe String(cString: tag)
  }
}

/// Where a float keeps its fields; the size alone does not tell float16 from bfloat16.
private struct FloatLayout: Hashable, CustomStringConvertible {
  let width: Int
  let exponentBits: Int
  let mantissaBits: Int
  let bias: Int
  /// Sign, exponent and mantissa follow one another from the highest bit without padding, and a
  /// leading one is implied.
  let isStandard: Bool

  init(width: Int, exponentBits: Int, mantissaBits: Int, bias: Int) {
    (self.width, self.exponentBits, self.mantissaBits) = (width, exponentBits, mantissaBits)
    self.bias = bias
    isStandard = true
  }

  init?(_ type: hid_t) {
    var sign = 0
    var exponent = 0
    var exponentBits = 0
    var mantissa = 0
    var mantissaBits = 0
    let status = unsafe H5Tget_fields(
      type,
      &sign,
      &exponent,
      &exponentBits,
      &mantissa,
      &mantissaBits
    )
    guard status >= 0 else { return nil }
    width = H5Tget_size(type)
    (self.exponentBits, self.mantissaBits) = (exponentBits, mantissaBits)
    bias = H5Tget_ebias(type)
    isStandard =
      mantissa == 0 && exponent == mantissaBits && sign == mantissaBits + exponentBits
      && sign + 1 == width * 8 && H5Tget_precision(type) == width * 8
      && H5Tget_norm(type) == H5T_NORM_IMPLIED
  }

  static let known: [FloatLayout: ElementType] = [
    FloatLayout(width: 8, exponentBits: 11, mantissaBits: 52, bias: 1023): .float64,
    FloatLayout(width: 4, exponentBits: 8, mantissaBits: 23, bias: 127): .float32,
    FloatLayout(width: 2, exponentBits: 5, mantissaBits: 10, bias: 15): .float16,
    FloatLayout(width: 2, exponentBits: 8, mantissaBits: 7, bias: 127): .bfloat16,
    FloatLayout(width: 1, exponentBits: 4, mantissaBits: 3, bias: 7): .float8E4M3,
    FloatLayout(width: 1, exponentBits: 5, mantissaBits: 2, bias: 15): .float8E5M2,
  ]

  var description: String { "\(exponentBits) exponent and \(mantissaBits) mantissa bits" }
}

extension HDF5Handle {
  /// The little-endian type of ours, for the library to convert to; inside `HDF5.perform`.
  static func memoryType(for elementType: ElementType, stored: hid_t) -> HDF5Handle? {
    switch H5Tget_class(stored) {
    case H5T_BITFIELD:
      return HDF5Handle(H5Tcopy(chdf5_bits(elementType.bitWidth / 8)), closedBy: H5Tclose)
    case H5T_OPAQUE:
      return HDF5Handle(H5Tcopy(stored), closedBy: H5Tclose)
    case H5T_ENUM where elementType == .bool:
      return HDF5Handle(H5Tcopy(stored), closedBy: H5Tclose)
    case H5T_FLOAT:
      // The stored layout is one of ours: only the order of its bytes may differ.
      guard let copy = HDF5Handle(H5Tcopy(stored), closedBy: H5Tclose) else { return nil }
      guard H5Tset_order(copy.id, H5T_ORDER_LE) >= 0 else { return nil }
      return copy
    case H5T_COMPOUND:
      return complexType(for: elementType, stored: stored)
    default:
      let isSigned = [.int8, .int16, .int32, .int64].contains(elementType)
      let type = chdf5_integer(elementType.bitWidth / 8, isSigned)
      return HDF5Handle(H5Tcopy(type), closedBy: H5Tclose)
    }
  }

  private static func complexType(for elementType: ElementType, stored: hid_t) -> HDF5Handle? {
    let width = elementType.bitWidth / 8
    guard let names = HDF5Elements.complexMembers(of: stored),
      let type = HDF5Handle(H5Tcreate(H5T_COMPOUND, width), closedBy: H5Tclose)
    else { return nil }
    let part = chdf5_float(width / 2)
    for (index, name) in names.enumerated() {
      guard unsafe H5Tinsert(type.id, name, index * width / 2, part) >= 0 else { return nil }
    }
    return type
  }
}
