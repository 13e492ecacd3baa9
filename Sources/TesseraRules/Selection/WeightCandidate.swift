package import TesseraCheckpoints

/// One of the sets of weights in a checkpoint of a training run, and what its name says of it.
package struct WeightCandidate: Sendable, Hashable {
  /// What a set of weights is, as far as names tell.
  package enum Role: String, Sendable, Hashable, CaseIterable {
    /// The moving average of a generator or student: what is shipped.
    case generatorAverage = "average of the generator"
    /// A moving average.
    case average
    /// A generator or student as it was trained last.
    case student
    /// A network beside a frozen copy of itself (IGN trains with one).
    case original = "original of a frozen copy"
    /// What a frozen copy holds.
    case frozenCopy = "frozen copy"
    /// The network that a consistency model is trained towards.
    case target = "target network"
    /// The teacher of a distillation.
    case teacher
    /// The model of what the generator makes.
    case fakeScore = "fake score"
    /// A discriminator, its average included.
    case discriminator
    /// An optimizer's state, its schedule and scaling.
    case optimizer

    /// What decides between candidates: the highest is meant, 0 is never meant.
    package var score: Int {
      switch self {
      case .generatorAverage: 4
      case .average: 3
      case .student: 2
      case .original: 1
      case .frozenCopy, .target, .teacher, .fakeScore, .discriminator, .optimizer: 0
      }
    }
  }

  /// The beginning of its names.
  package let prefix: String
  /// What it is.
  package let role: Role
  /// How many tensors stand under it.
  package let tensors: Int

  /// What `--pick ema` may mean, and what it leaves out, the best first; names that say nothing of
  /// averages, students or training are no candidates.
  ///
  /// - Parameter tensors: All tensors of a checkpoint.
  /// - Returns: Each set once.
  package static func all(among tensors: [TensorInfo]) -> [WeightCandidate] {
    all(amongNames: tensors.map(\.name))
  }

  static func all(amongNames names: [String]) -> [WeightCandidate] {
    var counts: [String: (role: Role, tensors: Int)] = [:]
    for case (let prefix, let role)? in places(of: names) {
      counts[prefix, default: (role, 0)].tensors += 1
    }
    return counts.map { prefix, found in
      WeightCandidate(prefix: prefix, role: found.role, tensors: found.tensors)
    }.sorted { ($1.role.score, $0.prefix) < ($0.role.score, $1.prefix) }
  }

  /// For each name the set of weights to which it belongs, and its role; nil where it says neither.
  static func places(of names: [String]) -> [(prefix: String, role: Role)?] {
    let originals = frozenOriginals(of: names)
    return names.map { name in
      role(of: wrappers(of: name), originals: originals).map { role, depth in
        (WeightWrapper.prefix(of: name, parts: depth), role)
      }
    }
  }

  /// The parts of a name before its last: scripts wrap weights a few times, not more.
  private static func wrappers(of name: String) -> ArraySlice<String> {
    WeightWrapper.parts(of: name).dropLast().prefix(8)
  }

  /// The role that the parts of a name give it, and how many of them say so.
  private static func role(
    of parts: ArraySlice<String>,
    originals: Set<String>
  ) -> (role: Role, depth: Int)? {
    var student: Int?
    for (index, part) in parts.enumerated() {
      let words = words(of: part)
      if let role = trainingRole(part, words, isFirst: index == 0) { return (role, index + 1) }
      let path = parts[..<index].joined(separator: ".")
      if let original = original(of: part, in: path), originals.contains(original) {
        return (.frozenCopy, index + 1)
      }
      let isGenerator = isStudent(words)
      if words.contains("ema") || words.contains("averaged") {
        return (student != nil || isGenerator ? .generatorAverage : .average, index + 1)
      }
      if student == nil, isGenerator { student = index + 1 }
    }
    if let student { return (.student, student) }
    for index in parts.indices
    where originals.contains(parts[...index].joined(separator: ".")) {
      return (.original, index + 1)
    }
    return nil
  }

  /// Whether words name a generator or student: `G`, `G_ema`, `student_model`, but no `x_g`.
  private static func isStudent(_ words: Set<String>) -> Bool {
    if words.contains("generator") || words.contains("student") { return true }
    if words == ["feedforward", "model"] { return true }
    return words.contains("g") && words.isSubset(of: ["g", "ema", "net", "model", "averaged"])
  }

  private static let optimizerParts: Set<String> = [
    "scaler", "grad_scaler", "callbacks", "loops", "opt", "rng_state",
  ]

  /// What a part says of training; nil for weights that may be shipped.
  private static func trainingRole(_ part: String, _ words: Set<String>, isFirst: Bool) -> Role? {
    if words.contains(where: { $0.hasPrefix("optim") || $0.hasPrefix("scheduler") }) {
      return .optimizer
    }
    if isFirst, optimizerParts.contains(part.lowercased()) { return .optimizer }
    if words.contains("fake") { return .fakeScore }
    if words.contains("teacher") || words.isSuperset(of: ["true", "score"])
      || words.isSuperset(of: ["real", "unet"]) || words.isSuperset(of: ["real", "score"])
    {
      return .teacher
    }
    if words.contains("discriminator") { return .discriminator }
    if words.contains("d") || words.contains("disc"),
      words.isSubset(of: ["d", "disc", "ema", "net", "model", "averaged"])
    {
      return .discriminator
    }
    if isFirst, words == ["target"] || words == ["target", "model"] { return .target }
    return nil
  }

  /// The words of a part: `G_ema` has g and ema.
  static func words(of part: String) -> Set<String> {
    Set(part.lowercased().split { $0 == "_" || $0 == "-" }.map(String.init))
  }

  /// The path of which a part says that it is a frozen copy; nil where it does not.
  private static func original(of part: String, in path: String) -> String? {
    guard let ending = ["_copy", "_frozen"].first(where: part.hasSuffix) else { return nil }
    return (path.isEmpty ? "" : path + ".") + part.dropLast(ending.count)
  }

  /// The paths of networks beside which there is a frozen copy.
  private static func frozenOriginals(of names: [String]) -> Set<String> {
    var (named, copied): (Set<String>, Set<String>) = ([], [])
    for name in names {
      let parts = wrappers(of: name)
      for (index, part) in parts.enumerated() {
        let path = parts[..<index].joined(separator: ".")
        named.insert(parts[...index].joined(separator: "."))
        if let original = original(of: part, in: path) { copied.insert(original) }
      }
    }
    return named.intersection(copied)
  }
}
