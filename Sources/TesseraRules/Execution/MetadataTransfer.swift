package import TesseraCheckpoints
package import TesseraCore

/// What a conversion carries on of what its source says of itself, and what it must leave behind.
package struct MetadataTransfer: Sendable {
  /// Texts that every format has a place for.
  package let strings: [String: String]
  /// What a GGUF file says; empty for other formats.
  package let gguf: GGUFOptions
  /// The names of what the result's format has no place for.
  package let lost: [String]
  /// The format of the result.
  private let format: CheckpointFormat

  /// Decides what is carried on.
  ///
  /// - Parameters:
  ///   - checkpoint: The source.
  ///   - plan: What is done.
  ///   - format: The format of the result.
  ///   - quantized: The results that a GGUF file stores as blocks.
  package init(
    from checkpoint: any CheckpointReader,
    _ plan: ConversionPlan,
    to format: CheckpointFormat,
    quantized: Set<String> = []
  ) {
    let source = checkpoint.metadata
    self.format = format
    let unfit = source.strings.filter { format.isUnfit($0.key, $0.value) }
    strings = source.strings.filter { unfit[$0.key] == nil }
    var lost = unfit.keys.sorted()
    if let text = plan.configuration, format.isUnfit("tessera.config", text) {
      lost.append("tessera.config")
    }
    if format == .gguf {
      let stated = Set(plan.metadata.map(\.key))
      let kept = source.entries.filter { !stated.contains($0.key) }
      let values = plan.metadata + kept.filter { !plan.outdates($0, quantized) }
      gguf = GGUFOptions(values: values, quantized: quantized, isCopy: !kept.isEmpty)
    } else {
      gguf = GGUFOptions()
      lost += source.entries.map(\.key)
    }
    let isCopied = (format == .hdf5 || format == .kerasWeights) && !plan.isChange
    var known: Set<String> = []
    let others = isCopied ? checkpoint.uncopiedAttributes : source.others
    self.lost = lost + others.filter { known.insert($0).inserted }
  }

  /// A sentence that names what is left behind; nil where nothing is.
  package var note: String? {
    guard let first = lost.first else { return nil }
    let shown = lost.prefix(Self.shown).joined(separator: ", ")
    let more = lost.count > Self.shown ? " and \(lost.count - Self.shown) more" : ""
    let what = lost.count == 1 ? "'\(first)' has" : "\(lost.count) values have"
    let names = lost.count == 1 ? "" : ": \(shown)\(more)"
    return "\(what) no place in \(format.rawValue) and left out\(names)"
  }

  private static let shown = 64

  /// What is to be said of a GGUF file that names no architecture: a note where it holds tensors alone,
  /// an error where these are a model's.
  ///
  /// - Parameters:
  ///   - model: What the settings beside the source call the model; nil where there are none.
  ///   - tensors: The tensors of the result.
  ///   - place: How errors call the source.
  ///   - catalog: The recipes that lead to GGUF.
  /// - Returns: A sentence; nil where there is nothing to say.
  /// - Throws: `TesseraError`, which lists the architectures that are known.
  package func architectureNote(
    of model: String?,
    _ tensors: [TensorInfo],
    place: String,
    _ catalog: @autoclosure () throws(TesseraError) -> RecipeCatalog
  ) throws(TesseraError) -> String? {
    let key = "general.architecture"
    guard format == .gguf, !gguf.isCopy, strings[key] == nil,
      !gguf.values.contains(where: { $0.key == key })
    else { return nil }
    guard model != nil || tensors.areModel else {
      return "the file names no \(key), since nothing says of what model the tensors are"
    }
    let known = Set(
      try catalog().recipes.filter { [$0.left.name, $0.right.name].contains("gguf") }.map(\.family)
    )
    let what = model.map { "'\($0)'" } ?? "these names"
    throw TesseraError.mismatch(
      "no recipe leads from \(what) to gguf, so its \(key) is not known: there are recipes for "
        + "\(known.sorted().joined(separator: ", ")); write another format, or state \(key) in the "
        + "__metadata__ of a safetensors file",
      place: place
    )
  }
}

extension [TensorInfo] {
  /// Whether the names are those of a language model: numbered layers beside an embedding.
  fileprivate var areModel: Bool {
    let hasLayers = contains { $0.name.contains(/(^|\.)(layers|layer|blocks|h|blk)\.[0-9]+\./) }
    let embeddings = ["embed", "wte", "tok_", "emb."]
    return hasLayers && contains { tensor in embeddings.contains { tensor.name.contains($0) } }
  }
}

extension ConversionPlan {
  /// Whether a key of the source's says what is no longer so: what type most of the data have.
  fileprivate func outdates(_ entry: MetadataEntry, _ quantized: Set<String>) -> Bool {
    guard entry.key == "general.file_type" else { return false }
    // 0, 1 and 32 are F32, F16 and BF16; with any other number the source's blocks were unpacked.
    let plain: [MetadataValue] = [0, 1, 32].map { .raw(type: 4, bytes: [$0, 0, 0, 0]) }
    let isCast = outputs.contains { output in
      output.operations.contains { if case .cast = $0 { true } else { false } }
    }
    return isCast || !quantized.isEmpty || !plain.contains(entry.value)
  }
}

extension CheckpointFormat {
  /// Whether a text beside the tensors does not fit the format.
  fileprivate func isUnfit(_ key: String, _ text: String) -> Bool {
    switch self {
    case .npz: text.utf8.count > NPZLayout.longestText
    case .hdf5, .kerasWeights: key.isEmpty || (key + text).utf8.contains(0)
    case .gguf: key.isEmpty
    case .safetensors, .pytorch: false
    }
  }
}

extension CheckpointReader {
  /// The attributes that a copy into HDF5 leaves out.
  var uncopiedAttributes: [String] {
    (self as? any AttributeCopying)?.attributeCopy?.omitted ?? metadata.others
  }
}
