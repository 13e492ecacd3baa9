package import TesseraCheckpoints

/// What two checkpoints say of themselves beside their tensors, compared key by key.
///
/// Only files of one kind say things in one form: GGUF's keys with their types, the texts of
/// safetensors, `.npz` and `.pt`, HDF5's attributes. What conversions add (`tessera.…`) and what
/// describes the file alone (`format`, sizes) is no difference.
package struct MetadataComparison: Sendable, Hashable {
  /// A key with both values as text.
  package struct Difference: Sendable, Hashable {
    /// The key.
    package let key: String
    /// The first file's value.
    package let first: String
    /// The second file's value.
    package let second: String
  }

  /// How many keys both have.
  package let compared: Int
  /// The keys that only the first has.
  package let onlyInFirst: [String]
  /// The keys that only the second has.
  package let onlyInSecond: [String]
  /// The keys whose values differ.
  package let different: [Difference]

  /// Whether both say the same.
  package var isEqual: Bool { onlyInFirst.isEmpty && onlyInSecond.isEmpty && different.isEmpty }

  /// Compares two files as they are; nil where their formats have no form in common.
  package init?(_ first: any CheckpointReader, and second: any CheckpointReader) {
    guard let a = Said(first), let b = Said(second), a.form == b.form else { return nil }
    self.init(a.values, b.values, isComplete: true)
  }

  /// Compares what a conversion of the first should say with what the second says; nil where the
  /// formats have no form in common.
  ///
  /// - Parameters:
  ///   - source: What was converted.
  ///   - plan: How.
  ///   - result: What it became.
  package init?(
    of source: any CheckpointReader,
    _ plan: ConversionPlan,
    with result: any CheckpointReader
  ) {
    guard let found = Said(result) else { return nil }
    var expected: [String: Said.Value] = [:]
    var isComplete = !plan.isChange
    if found.form == .gguf {
      let kept = MetadataTransfer(from: source, plan, to: .gguf)
      for entry in kept.gguf.values { expected[entry.key] = Said.Value(entry) }
      isComplete = isComplete && source.format == "gguf"
      guard !expected.isEmpty else { return nil }
    } else {
      guard let said = Said(source), said.form == found.form else { return nil }
      expected = said.values
    }
    // Another type of the data says so in these keys.
    let types = Set(
      zip(plan.outputs, result.tensors).map { $0.tensor.elementType == $1.elementType }
    )
    var values = found.values
    if found.form == .gguf, types.contains(false) || source.format != "gguf" {
      for key in ["general.file_type", "general.quantization_version", "general.alignment"] {
        expected[key] = nil
        values[key] = nil
      }
    }
    self.init(expected, values, isComplete: isComplete)
  }

  /// What every GGUF file that is written states of its data; other programs may leave it out.
  private static let stated = ["general.file_type", "general.quantization_version"]

  private init(_ first: [String: Said.Value], _ second: [String: Said.Value], isComplete: Bool) {
    let lone = Set(Self.stated.filter { first[$0] == nil || second[$0] == nil })
    let (a, b) = (first.filter { !lone.contains($0.key) }, second.filter { !lone.contains($0.key) })
    let shared = a.keys.filter { b[$0] != nil }.sorted()
    compared = shared.count
    onlyInFirst = a.keys.filter { b[$0] == nil }.sorted()
    onlyInSecond = isComplete ? b.keys.filter { a[$0] == nil }.sorted() : []
    different = shared.compactMap { key in
      guard let x = a[key], let y = b[key], x.identity != y.identity else { return nil }
      return Difference(key: key, first: x.text, second: y.text)
    }
  }
}

/// What a file says, in the form of its format.
private struct Said {
  enum Form { case gguf, strings, attributes }

  struct Value {
    /// What makes two values the same.
    let identity: [UInt8]
    let text: String

    init(_ text: String) {
      identity = Array(text.utf8)
      self.text = String(text.prefix(200))
    }

    init(_ entry: MetadataEntry) {
      identity = entry.encoded
      text = entry.description
    }
  }

  let form: Form
  let values: [String: Value]

  init?(_ checkpoint: any CheckpointReader) {
    switch checkpoint.format {
    case "gguf":
      form = .gguf
      let entries = checkpoint.metadata.entries.map { ($0.key, Value($0)) }
      values = Dictionary(entries) { first, _ in first }
    case "safetensors", "npz", "torch-zip":
      form = .strings
      let strings = checkpoint.metadata.strings.filter {
        !$0.key.hasPrefix("tessera.") && $0.key != "format"
      }
      values = strings.mapValues { Value($0) }
    case "hdf5", "keras-h5", "keras-weights-h5":
      form = .attributes
      // A dataset's `dtype` is the type of its elements, which are compared by themselves.
      let attributes = checkpoint.attributes.filter {
        !$0.key.hasPrefix("tessera.") && !$0.key.hasSuffix("@dtype")
      }
      values = attributes.mapValues { Value($0) }
    default: return nil
    }
  }
}
