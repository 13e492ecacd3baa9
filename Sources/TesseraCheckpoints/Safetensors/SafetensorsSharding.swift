import TesseraCore

/// How tensors are divided among the files of one checkpoint, as huggingface_hub divides them.
package struct SafetensorsSharding: Sendable {
  /// The tensors of each file, in the order given.
  package let shards: [[TensorInfo]]

  /// Fills files in order: a tensor that no longer fits starts the next file.
  ///
  /// - Parameters:
  ///   - tensors: In the order of the model.
  ///   - byteLimit: The most data a file holds; a larger tensor stands alone. Nil makes one file.
  package init(_ tensors: [TensorInfo], byteLimit: Int?) {
    guard let byteLimit else {
      shards = [tensors]
      return
    }
    var shards: [[TensorInfo]] = []
    var size = 0
    for tensor in tensors {
      let bytes = SafetensorsSharding.byteCount(of: tensor)
      if shards.isEmpty || size + bytes > byteLimit {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(tensor)
      size += bytes
    }
    self.shards = shards.isEmpty ? [[]] : shards
  }

  /// The path of a shard: `model-00001-of-00003.safetensors`, or `path` itself where it is the only
  /// one.
  package func path(of shard: Int, under path: String) -> String {
    guard shards.count > 1 else { return path }
    return "\(stem(of: path))-\(digits(shard + 1))-of-\(digits(shards.count)).safetensors"
  }

  /// The path of the index, or nil where there is only one file.
  package func indexPath(under path: String) -> String? {
    shards.count > 1 ? "\(stem(of: path)).safetensors.index.json" : nil
  }

  /// The text of the index, as huggingface_hub writes it.
  package func index(under path: String) -> String {
    var files: [(name: String, file: String)] = []
    for (number, shard) in shards.enumerated() {
      let file = self.path(of: number, under: path)
      let name = file.split(separator: "/").last.map(String.init) ?? file
      files += shard.map { ($0.name, name) }
    }
    files.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let total = shards.joined().reduce(0) { $0 + SafetensorsSharding.byteCount(of: $1) }
    let lines = files.map { file in
      "    \(JSONText.quotedASCII(file.name)): \(JSONText.quotedASCII(file.file))"
    }
    return """
      {
        "metadata": {
          "total_size": \(total)
        },
        "weight_map": {
      \(lines.joined(separator: ",\n"))
        }
      }

      """
  }

  private static func byteCount(of tensor: TensorInfo) -> Int {
    tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) } ?? 0
  }

  private func stem(of path: String) -> String {
    let suffix = ".safetensors"
    return path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path
  }

  private func digits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}
