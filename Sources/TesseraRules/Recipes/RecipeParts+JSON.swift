import TesseraCheckpoints
import TesseraCore

extension RecipeLayout {
  var json: JSONValue {
    if settings == .none, marks.isEmpty { return .string(name) }
    var object: [String: JSONValue] = [
      "layout": .string(name), "settings": .string(settings.rawValue),
    ]
    if !marks.isEmpty { object["marks"] = .object(marks) }
    return .object(object)
  }
}

extension RecipeSize {
  var json: JSONValue {
    if keys.allSatisfy(\.isEmpty), fallback == nil { return .string(meaning) }
    var object: [String: JSONValue] = ["meaning": .string(meaning)]
    for (side, names) in zip(["left", "right"], keys) where !names.isEmpty {
      object[side] = .array(names.map(JSONValue.string))
    }
    if let fallback { object["default"] = fallback.json }
    return .object(object)
  }
}

extension RecipeRule.Definition {
  var json: JSONValue {
    func list(_ names: [String]) -> JSONValue {
      names.count == 1 ? .string(names[0]) : .array(names.map(JSONValue.string))
    }
    var object: [String: JSONValue] = ["left": list(names[0]), "right": list(names[1])]
    if let shapes {
      let all = shapes.map { JSONValue.array($0.map(\.json)) }
      if all.count == 1 { object["shape"] = all[0] } else { object["shapes"] = .array(all) }
    }
    if !operations.isEmpty { object["operations"] = .array(operations.map(\.json)) }
    if isOptional { object["optional"] = .bool(true) }
    if !group.isEmpty { object["group"] = .string(group) }
    if let gather { object["gather"] = .string(gather) }
    if isFallback { object["fallback"] = .bool(true) }
    if isKept { object["keep"] = .bool(true) }
    var fixed: [String: JSONValue] = [:]
    for (side, type) in zip(["left", "right"], types) {
      if let type { fixed[side] = .string(type.rawValue) }
    }
    if !fixed.isEmpty { object["type"] = .object(fixed) }
    return .object(object)
  }
}

private func sideName(_ side: Int) -> JSONValue { .string(side == 0 ? "left" : "right") }

extension RecipeDrop {
  var json: JSONValue {
    .object([
      "side": sideName(side), "name": .string(template.text), "reason": .string(reason),
    ])
  }
}

extension RecipeConstant {
  var json: JSONValue {
    .object([
      "side": sideName(side), "name": .string(template.text), "reason": .string(reason),
      "shape": .array(shape.map(\.json)), "type": .string(type.rawValue),
      "value": .number(value == .one ? 1 : 0),
    ])
  }
}

extension RecipeRotary {
  var json: JSONValue {
    .object(["architecture": .string(architecture), "width": width.json])
  }
}

extension RecipeTie {
  var json: JSONValue {
    let parts = sides.map { side in
      JSONValue.object([
        "name": .string(side.name), "of": .string(side.of), "copy": .bool(side.isCopied),
      ])
    }
    return .object(["left": parts[0], "right": parts[1]])
  }
}

extension RecipeKey {
  var json: JSONValue {
    var object: [String: JSONValue] = ["type": .string(type.rawValue)]
    for (side, name) in zip(["left", "right"], names) {
      if let name { object[side] = .string(name) }
    }
    if let size { object["size"] = size.json }
    if let value { object["value"] = value }
    if isTied { object["tied"] = .bool(true) }
    if !holds.isEmpty { object["holds"] = .array(holds.map { .string($0.text) }) }
    if !layers.isEmpty {
      let names = layers.map { ($0.key.text, JSONValue.string($0.value)) }
      object["layers"] = .object(Dictionary(names) { first, _ in first })
    }
    return .object(object)
  }
}
