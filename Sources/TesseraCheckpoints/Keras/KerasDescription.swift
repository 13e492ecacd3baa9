import TesseraCore

/// A layer or model as the file's JSON describes it.
struct KerasDescription: Sendable {
  let name: String
  let className: String
  let configuration: KerasConfiguration
  /// The layers of a model, or what a wrapper wraps.
  let children: [KerasDescription]
  let isModel: Bool

  /// The description in a checkpoint, or nil for weights alone.
  static func model(of checkpoint: HDF5Checkpoint) throws(TesseraError) -> KerasDescription? {
    guard let text = checkpoint.modelConfiguration else { return nil }
    guard let json = try? JSONValue(parsing: text),
      let description = KerasDescription(json, depth: 0)
    else {
      let cause = "the model's configuration is no description of a Keras model"
      throw TesseraError.mismatch(cause, file: checkpoint.fileName)
    }
    return description
  }

  /// Reads one `{"class_name": …, "config": {…}}`; nil where it is none.
  private init?(_ json: JSONValue, depth: Int) {
    guard depth < 64, let className = json["class_name"]?.string else { return nil }
    let values = json["config"]?.object ?? [:]
    let layers = KerasConfiguration.layers(of: json)
    isModel = values["layers"] != nil || json["config"]?.array != nil
    let inner =
      isModel ? layers : ["layer", "backward_layer", "cell"].compactMap { values[$0] }
    children = inner.compactMap { KerasDescription($0, depth: depth + 1) }
    guard !isModel || children.count == inner.count else { return nil }
    name = values["name"]?.string ?? json["name"]?.string ?? ""
    // A class of the user's own may have the name of one of Keras'.
    let registered = json["registered_name"]?.string ?? ""
    self.className = registered.contains(">") && !isModel ? registered : className
    configuration = KerasConfiguration(values)
  }

  /// What a wrapper wraps, or nil.
  var wrapped: KerasDescription? { isModel ? nil : children.first }

  /// The layers inside a model that are no models, each with its path below this one.
  var leaves: [(path: [String], layer: KerasDescription)] {
    children.flatMap { child in
      guard child.isModel else { return [([child.name], child)] }
      return child.leaves.map { ([child.name] + $0.path, $0.layer) }
    }
  }
}

extension KerasDescription {
  /// The name of a class as Keras 3 writes it for a group: `Conv2DTranspose` is `conv2d_transpose`.
  static func groupName(ofClass name: String) -> String {
    // A registered class is "Package>Name".
    let own = name[(name.lastIndex(of: ">").map { name.index(after: $0) } ?? name.startIndex)...]
    let letters = own.filter { $0.isLetter || $0.isNumber || $0 == "_" }
    let words = letters.replacing(/(.)([A-Z][a-z]+)/) { "\($0.output.1)_\($0.output.2)" }
    return words.replacing(/([a-z])([A-Z])/) { "\($0.output.1)_\($0.output.2)" }.lowercased()
  }

  /// The class of a group named by Keras 3: `dense_12` is Dense; nil for a name of another kind.
  static func className(ofGroup group: String) -> String? {
    if let known = classesByGroup[group] { return known }
    let parts = group.split(separator: "_", omittingEmptySubsequences: false)
    guard let last = parts.last, Int(last) != nil else { return nil }
    return classesByGroup[parts.dropLast().joined(separator: "_")]
  }

  private static let classesByGroup: [String: String] = {
    let wrappers = ["Bidirectional", "TimeDistributed"]
    let names = KerasRoles.knownClasses + wrappers
    return Dictionary(uniqueKeysWithValues: names.map { (groupName(ofClass: $0), $0) })
  }()
}
