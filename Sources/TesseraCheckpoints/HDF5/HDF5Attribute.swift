import CHDF5

/// The value of an attribute, as far as checkpoints use them.
package enum HDF5Attribute: Sendable, Hashable {
  /// A single string.
  case string(String)
  /// An array of strings, flattened row-major.
  case strings([String])
  /// Integers, flattened row-major; `isScalar` for a single one without axes.
  case integers([Int64], isScalar: Bool)
  /// Floats, flattened row-major.
  case floats([Double], isScalar: Bool)

  /// The strings of a list, where an empty list may carry any type: h5py writes an empty list of
  /// names as float64 of shape (0,).
  package var names: [String]? {
    switch self {
    case .string(let text): [text]
    case .strings(let texts): texts
    case .integers(let values, _) where values.isEmpty: []
    case .floats(let values, _) where values.isEmpty: []
    default: nil
    }
  }

  /// The single string, if it is one.
  package var text: String? {
    switch self {
    case .string(let text): text
    case .strings(let texts) where texts.count == 1: texts[0]
    default: nil
    }
  }

  /// About how many bytes the value takes in a file: numbers may be bytes there.
  var byteCount: Int {
    switch self {
    case .string(let text): text.utf8.count
    case .strings(let texts): texts.reduce(0) { $0 + $1.utf8.count }
    case .integers(let values, _): values.count
    case .floats(let values, _): values.count
    }
  }

  /// The value as `inspect` shows it: text as it is, lists in brackets.
  package var description: String {
    switch self {
    case .string(let text): text
    case .strings(let texts): "[\(texts.map { "\"\($0)\"" }.joined(separator: ", "))]"
    case .integers(let values, let isScalar): isScalar ? "\(values[0])" : "\(values)"
    case .floats(let values, let isScalar): isScalar ? "\(values[0])" : "\(values)"
    }
  }
}

extension HDF5Attribute {
  /// The most values that one attribute may hold.
  private static let valueLimit = 1 << 16

  /// What an object's attributes are: values of those that are text or numbers, names of others.
  struct Found {
    var values: [String: HDF5Attribute] = [:]
    /// Attributes of other types, which are not shown.
    var unshown: [String] = []
    /// Attributes that cannot be copied into another file.
    var fixed: [String] = []
  }

  /// Reads the attributes of an open object that are text or numbers; names the others.
  ///
  /// - Returns: What is there, or nil where the object is damaged.
  static func all(of object: hid_t, limit: Int) -> Found? {
    let names = unsafe HDF5Names.collect(limit: limit) { context, visitor in
      unsafe chdf5_visit_attributes(object, context, visitor)
    }
    guard let names else { return nil }
    var found = Found()
    for case let name? in names.map(\.name) {
      let attribute = unsafe HDF5Handle(
        H5Aopen(object, name, hid_t(H5P_DEFAULT)),
        closedBy: H5Aclose
      )
      guard let attribute else {
        found.fixed.append(name)
        continue
      }
      if let value = HDF5Attribute(attribute.id) {
        found.values[name] = value
      } else {
        found.unshown.append(name)
      }
      if !chdf5_attribute_travels(attribute.id) { found.fixed.append(name) }
    }
    return found
  }

  /// Reads one attribute, or returns nil where it is damaged, null, or no text and no number.
  private init?(_ attribute: hid_t) {
    guard let type = HDF5Handle(H5Aget_type(attribute), closedBy: H5Tclose),
      let space = HDF5Handle(H5Aget_space(attribute), closedBy: H5Sclose)
    else { return nil }
    let extent = H5Sget_simple_extent_type(space.id)
    let count = Int(H5Sget_simple_extent_npoints(space.id))
    guard extent != H5S_NULL, (0...HDF5Attribute.valueLimit).contains(count) else { return nil }
    let isScalar = extent == H5S_SCALAR
    switch H5Tget_class(type.id) {
    case H5T_STRING:
      guard let texts = HDF5Attribute.strings(attribute, type.id, count) else { return nil }
      self = isScalar && texts.count == 1 ? .string(texts[0]) : .strings(texts)
    case H5T_INTEGER, H5T_ENUM:
      var values = [Int64](repeating: 0, count: count)
      guard unsafe count == 0 || H5Aread(attribute, chdf5_integer(8, true), &values) >= 0
      else { return nil }
      self = .integers(values, isScalar: isScalar)
    case H5T_FLOAT:
      var values = [Double](repeating: 0, count: count)
      guard unsafe count == 0 || H5Aread(attribute, chdf5_float(8), &values) >= 0
      else { return nil }
      self = .floats(values, isScalar: isScalar)
    default:
      return nil
    }
  }

  private static func strings(_ attribute: hid_t, _ type: hid_t, _ count: Int) -> [String]? {
    if count == 0 { return [] }
    // An attribute of fixed strings lies in the object's header or heap: its bytes are the file's.
    let (bytes, overflow) = H5Tget_size(type).multipliedReportingOverflow(by: count)
    guard !overflow, bytes <= 1 << 28 else { return nil }
    let texts = unsafe HDF5Names.collect(limit: count) { context, visitor in
      unsafe chdf5_visit_strings(attribute, type, count, context, visitor)
    }
    guard let texts, texts.count == count else { return nil }
    let names = texts.compactMap(\.name)
    return names.count == count ? names : nil
  }
}
