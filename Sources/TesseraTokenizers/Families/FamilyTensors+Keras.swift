import TesseraCheckpoints
internal import TesseraCore

extension FamilyTensors {
  /// A layer of a Keras file, with its variables.
  struct KerasPart {
    let name: String
    let tensors: [(name: String, role: String, shape: Shape)]
  }

  /// The layers of a Keras file, by the half that they belong to.
  init(keras model: KerasModel) {
    var groups: [(name: String, layers: [KerasPart])] = []
    for layer in model.layers {
      let name = layer.path.count > 1 ? layer.path[0] : ""
      let tensors = layer.variables.map {
        (name: $0.tensor.name, role: $0.role, shape: $0.tensor.shape)
      }
      let part = KerasPart(name: layer.path.joined(separator: "/"), tensors: tensors)
      if groups.last?.name == name {
        groups[groups.count - 1].layers.append(part)
      } else {
        groups.append((name, [part]))
      }
    }
    self.init(spelling: .keras)
    var halves: Set<String> = []
    for group in groups {
      let tensors = group.layers.flatMap(\.tensors)
      guard !tensors.isEmpty else { continue }
      let half = Self.half(tensors.map(\.shape).filter { $0.rank == 4 }, isFirst: halves.isEmpty)
      if halves.insert(half).inserted {
        add(keras: group.layers, half: half)
      } else {
        conflicts += tensors.map { .unusedParameter(name: $0.name, shape: $0.shape) }
      }
    }
  }

  /// The half that takes three channels is the encoder, the one that gives three the decoder; of one that lost
  /// such a kernel its place says which it is.
  private static func half(_ kernels: [Shape], isFirst: Bool) -> String {
    if kernels.first?[2] == 3 { return "encoder" }
    if kernels.last?[3] == 3 { return "decoder" }
    return isFirst ? "encoder" : "decoder"
  }

  /// One half of Su's network: kernels and norms numbered in order; BGR becomes RGB.
  private mutating func add(keras layers: [KerasPart], half: String) {
    missGaps(in: layers)
    var (convolutions, norms) = (0, 0)
    let kernels = layers.count { $0.tensors.contains { $0.role == "kernel" } }
    for layer in layers {
      let isNorm = layer.tensors.contains { ["gamma", "beta"].contains($0.role) }
      if isNorm { missRoles(of: layer) }
      for tensor in layer.tensors {
        switch tensor.role {
        case "kernel" where tensor.shape.rank == 4 && !isNorm:
          let shape = tensor.shape
          var recipe = TensorRecipe.fromKeras(.stored(tensor.name))
          if half == "encoder", convolutions == 0 { recipe = .mirrored(recipe, axis: 1) }
          if half == "decoder", convolutions == kernels - 1 { recipe = .mirrored(recipe, axis: 0) }
          entries["\(half).conv.\(convolutions).weight"] = Entry(
            recipe: recipe,
            shape: [shape[3], shape[2], shape[0], shape[1]]
          )
          convolutions += 1
        case "beta", "gamma":
          let part = tensor.role == "beta" ? "bias" : "weight"
          entries["\(half).norm.\(norms).\(part)"] = Entry(
            recipe: .stored(tensor.name),
            shape: tensor.shape
          )
        default:
          conflicts.append(.unusedParameter(name: tensor.name, shape: tensor.shape))
        }
      }
      norms += isNorm ? 1 : 0
    }
  }

  private mutating func missRoles(of layer: KerasPart) {
    for role in ["beta", "gamma"] where !layer.tensors.contains(where: { $0.role == role }) {
      let reason = "a group norm has beta and gamma"
      conflicts.append(.incomplete(name: "\(layer.name)/\(role):0", reason: reason))
    }
  }

  /// Keras numbers the layers of a class one after the other: a number that is left out is a layer that is lost.
  private mutating func missGaps(in layers: [KerasPart]) {
    var last: [Substring: Int] = [:]
    for layer in layers {
      let stem = layer.name.reversed().drop(while: \.isNumber).count
      let base = layer.name.prefix(stem)
      guard base.last == "_", let number = Int(layer.name.dropFirst(stem)) else { continue }
      if let last = last[base], number > last + 1 {
        let reason = "the layers before and after it are there"
        let role = layer.tensors.first?.role ?? ""
        conflicts.append(.incomplete(name: "\(base)\(last + 1)/\(role):0", reason: reason))
      }
      last[base] = number
    }
  }
}
